"""The stage `match`: putative correspondences between the images of one work.

`match_descriptors` is the exact nearest-neighbour matcher on its own. It is loaded on first use, so that importing
the stage for its command line stays light.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
