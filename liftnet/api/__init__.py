"""Four names for notebooks: what liftnet does, without its folders and files.

| name | from | to |
| --- | --- | --- |
| `match_images(a, b)` | two photographs | correspondences, verified as those of the dataset |
| `PairDataset(folder)` | a dataset | items for a `torch.utils.data.DataLoader` |
| `predict_depth(image)` | a photograph, a mask, a model | depth of every pixel |
| `drkfs(shape, target)` | two meshes | how unlike they look |

Photographs are paths, bytes, PIL images, numpy arrays or torch tensors; see `liftnet.api.pictures`. Meshes are paths,
trimesh's or pairs of arrays.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
