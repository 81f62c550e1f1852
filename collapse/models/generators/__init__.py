"""Models of whole rows: what people retrain, batched over replications."""
