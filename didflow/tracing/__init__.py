"""Traces of submits, attempts and provider calls. `otel` alone knows OpenTelemetry; it is imported only where traces are asked for."""
