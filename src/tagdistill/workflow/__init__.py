"""What surrounds a run: resources, forecasts, the reasons of reruns, and clean-up."""
