"""Reports a stage's figures to TensorBoard's event files, MLflow and Weights & Biases, from the driver."""
