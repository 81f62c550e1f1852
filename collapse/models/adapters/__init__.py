"""Models made of other models, and of other people's estimators."""
