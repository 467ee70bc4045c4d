"""liftnet: correspondences from sculpture photographs, and depth from a single image learnt from them."""

import os

__version__ = "0.1.0"

# onnxruntime reports to its maker when it is loaded, and keeps a number of the machine in the home folder
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
