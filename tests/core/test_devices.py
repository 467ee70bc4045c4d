"""Where torch computes, and how weights lie in memory."""


def test_channels_of_pixels_and_voxels_are_put_last_and_nothing_else_changes():
    import torch
    from torch import nn

    from liftnet.core.devices import channels_last

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(2, 3, 3), nn.BatchNorm3d(3), nn.Flatten(2), nn.Conv1d(3, 1, 1))
    flat = nn.Conv2d(2, 3, 3)
    cells, pixels = torch.rand(1, 2, 4, 4, 4), torch.rand(1, 2, 4, 4)
    before = network(cells), flat(pixels)
    channels_last(network)
    channels_last(flat)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert flat.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close((network(cells), flat(pixels)), before)
