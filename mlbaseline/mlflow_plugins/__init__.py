"""What MLflow loads by its entry points, in every process that uses MLflow: it imports almost nothing at first."""
