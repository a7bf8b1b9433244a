from __future__ import annotations

from collections import Counter

import pytest
import torch

from boneage_node.bone_age.inception import AgeInception

# Szegedy et al. 2016 as in the reference implementations, without classifier and auxiliary head, less the two
# input channels that a grey image lacks (32 filters of 3x3).
TRUNK_PARAMETERS = 21_785_568 - 2 * 32 * 3 * 3


def small(seed: int = 0) -> AgeInception:
    torch.manual_seed(seed)
    return AgeInception(width=0.1)


def ages_of(network: AgeInception, images: torch.Tensor, male: torch.Tensor) -> torch.Tensor:
    """What the one head that it has says."""
    heads = network(images, male)
    assert heads.classification is None
    return heads.regression


def test_the_trunk_is_inception_v3() -> None:
    with torch.device("meta"):
        network = AgeInception().eval()
        features = network.features(torch.empty(1, 1, 299, 299))
        # 103 pixels: one more row from any layer of the stem would reach the end as a second row
        smallest = network.features(torch.empty(1, 1, 103, 103))
    assert sum(parameter.numel() for parameter in network.features.parameters()) == TRUNK_PARAMETERS
    assert features.shape == (1, 2048, 8, 8)
    assert smallest.shape == (1, 2048, 1, 1)
    kernels = Counter(tuple(p.shape[2:]) for p in network.features.parameters() if p.ndim == 4)
    assert kernels == {(1, 1): 40, (3, 3): 17, (5, 5): 3, (1, 7): 13, (7, 1): 13, (1, 3): 4, (3, 1): 4}
    head = (2048 + 32 + 1) * 1000 + (1000 + 1) * 1000 + (1000 + 1) + 2 * 32
    assert sum(parameter.numel() for parameter in network.parameters()) == TRUNK_PARAMETERS + head


@pytest.mark.parametrize(("height_px", "width_px"), [(75, 75), (96, 130)])
def test_one_age_for_each_image_of_any_size(height_px: int, width_px: int) -> None:
    images, male = torch.rand(3, 1, height_px, width_px), torch.tensor([1.0, 0.0, 0.5])
    ages = ages_of(small().eval(), images, male)
    assert ages.shape == (3,)
    assert ages.isfinite().all()


def test_the_narrowest_network_keeps_four_channels() -> None:
    network = AgeInception(width=0.001)
    weights = [parameter for parameter in network.features.parameters() if parameter.ndim == 4]
    assert {weight.shape[0] for weight in weights} == {4}
    assert ages_of(network.eval(), torch.rand(1, 1, 75, 75), torch.ones(1)).shape == (1,)


def test_sex_changes_the_age_and_unknown_sex_says_nothing() -> None:
    network = small().eval()
    image = torch.rand(1, 1, 75, 75)
    boy, girl, unknown = (ages_of(network, image, torch.tensor([male])).item() for male in (1.0, 0.0, 0.5))
    assert len({boy, girl, unknown}) == 3
    torch.nn.init.zeros_(network.sex.weight)
    assert ages_of(network, image, torch.ones(1)).item() == pytest.approx(unknown)


def test_a_constant_head_is_not_clipped() -> None:
    network = small().eval()
    with torch.no_grad():
        network.regression.bias.fill_(1.5)
        network.regression.weight.zero_()
    assert ages_of(network, torch.rand(1, 1, 75, 75), torch.ones(1)).item() == 1.5


def test_the_gradient_reaches_the_first_convolution_and_the_sex_layer() -> None:
    network = small()
    ages_of(network, torch.rand(4, 1, 96, 96), torch.tensor([1.0, 0.0, 1.0, 0.0])).sum().backward()
    first = next(network.features.parameters())
    assert first.shape[1:] == (1, 3, 3)
    for weight in (first, network.sex.weight):
        assert weight.grad is not None
        assert weight.grad.abs().max() > 0


def test_dropout_is_for_training_only() -> None:
    torch.manual_seed(0)
    network = AgeInception(width=0.1, dropout=0.5)
    images, male = torch.rand(4, 1, 96, 96), torch.ones(4)
    assert not torch.equal(ages_of(network, images, male), ages_of(network, images, male))
    network.eval()
    assert torch.equal(ages_of(network, images, male), ages_of(network, images, male))


def test_it_learns_the_size_of_a_disc_and_the_sex() -> None:
    network = small()
    radii = torch.linspace(0.1, 0.9, 16)
    axis = torch.linspace(-1, 1, 96)
    images = (torch.hypot(axis[:, None], axis) < radii[:, None, None]).float()[:, None]
    male = torch.arange(16) % 2.0
    ages = 1.5 * radii - 0.75 + 0.3 * (male - 0.5)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.l1_loss(ages_of(network, images, male), ages)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < sum(losses[:5]) / 3
