"""What operators see of this node: ``/metrics`` and ``/telemetry``, and the numbers behind them."""
