"""What operators see of this node: ``/metrics``, ``/telemetry`` and ``/issues``, and what is behind them."""
