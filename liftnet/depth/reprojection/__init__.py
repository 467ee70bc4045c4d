"""The correspondence loss: the camera that fits depth and correspondences best, and the error that it leaves."""
