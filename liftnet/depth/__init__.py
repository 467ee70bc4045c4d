"""The stage `depth`: LiftNet, depth from one photograph, trained without depth.

For users of the library: `load_model(folder).predict_image(rgb, mask)`, and `correspondence_loss` to train other
networks with. Names are imported when they are first used,
so that the command line's help does not load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
