"""Networks as they are trained, and folded for reading."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from boneage_node.bone_age.inception import AgeInception
from boneage_node.bone_age.networks import AgeVgg, folded, months_by_head


def trained(network: nn.Module) -> nn.Module:
    """The network with batch statistics that are not those of a new one."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features) * 0.2
            layer.running_var = torch.rand(layer.num_features) + 0.5
    return network.eval()


@pytest.mark.parametrize("network", [AgeVgg((4, 6, 8)), AgeInception(0.1)], ids=["vgg", "inception"])
def test_a_folded_network_answers_the_same_without_batch_normalisation(network: nn.Module) -> None:
    network = trained(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    images, male = torch.rand(3, 1, 120, 120), torch.tensor([0.0, 0.5, 1.0])

    quick = folded(network)

    assert not [layer for layer in quick.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.inference_mode():
        months, as_trained = (months_by_head(one(images, male)) for one in (quick, network))
    for head, ages in as_trained.items():
        torch.testing.assert_close(months[head], ages, atol=1e-2, rtol=0)
        assert ages.std() > 0.1
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
