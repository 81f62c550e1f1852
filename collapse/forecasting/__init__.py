"""What a policy will cost on a table of one's own."""

from collapse.forecasting.answer import Forecast
from collapse.forecasting.study import forecast

__all__ = ["Forecast", "forecast"]
