"""The predict stage: a trained model answers about any dataset, with the label stage's code and speed."""
