"""Exports of labeling tools: Label Studio, FiftyOne, COCO. Registration turns them into lists of labeled images."""
