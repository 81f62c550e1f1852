"""What a policy will cost on a table of one's own."""

from collapse.forecasting.study import Forecast, forecast

__all__ = ["Forecast", "forecast"]
