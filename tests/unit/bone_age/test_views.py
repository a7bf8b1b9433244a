from __future__ import annotations

import pytest
import torch
from torch import Tensor

from boneage_node.bone_age.networks import AgeHeads, AgeNetwork
from boneage_node.bone_age.views import VIEW_COUNTS, read_views, views


def bright(corner: int) -> Tensor:
    """An image (1, 1, 40, 60), black but for 10 % of one corner: 0 top left, 1 top right, 2 and 3 below."""
    image = torch.zeros(1, 1, 40, 60)
    rows = slice(4) if corner < 2 else slice(-4, None)
    columns = slice(6) if corner % 2 == 0 else slice(-6, None)
    image[:, :, rows, columns] = 1
    return image


@pytest.mark.parametrize("count", VIEW_COUNTS)
def test_all_images_of_a_view_stand_together_and_the_first_view_is_the_image(count: int) -> None:
    images = torch.rand(3, 1, 40, 60)
    seen = views(images, count)
    assert seen.shape == (count * 3, 1, 40, 60)
    assert torch.equal(seen[:3], images)
    alone = [views(image[None], count) for image in images]
    assert torch.allclose(seen.reshape(count, 3, 1, 40, 60), torch.stack(alone, dim=1))


@pytest.mark.parametrize("count", [2, 10])
def test_the_second_half_is_the_mirror_image_of_the_first(count: int) -> None:
    plain, mirrored = views(torch.rand(2, 1, 40, 60), count).chunk(2)
    assert torch.equal(mirrored, plain.flip(3))


@pytest.mark.parametrize("corner", range(4))
def test_a_crop_shows_its_own_corner_and_leaves_the_others_out(corner: int) -> None:
    crops = views(bright(corner), 10)[1:5]
    assert [crop.max().item() > 0 for crop in crops] == [index == corner for index in range(4)]


def test_a_crop_is_enlarged_in_proportion() -> None:
    image = torch.linspace(0, 1, 60).expand(1, 1, 40, 60)
    top_left, top_right = views(image, 10)[1:3]
    assert torch.allclose(top_left[0, 20, [0, -1]], torch.tensor([0, 53 / 59]))
    assert torch.allclose(top_right[0, 20, [0, -1]], torch.tensor([6 / 59, 1]))
    middle = top_left[0, 20, 5:-5].diff()
    assert torch.allclose(middle, torch.full_like(middle, 0.9 / 59), atol=1e-5)


@pytest.mark.parametrize("count", [-1, 0, 3, 5])
def test_other_counts_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="views"):
        views(torch.rand(1, 1, 40, 60), count)


class Grey(AgeNetwork):
    """Tells an image by its mean grey, and adds what it is told of the sex."""

    looks = 0

    def describe(self, images: Tensor) -> Tensor:
        self.looks += 1
        return images.mean(dim=(2, 3))

    def judge(self, features: Tensor, male: Tensor) -> AgeHeads:
        return AgeHeads(features[:, 0] + male, None)


def test_images_are_looked_at_once_for_all_that_is_told() -> None:
    network, images = Grey(), torch.tensor([0.25, 0.5])[:, None, None, None].expand(2, 1, 8, 8)
    seen = read_views(network, images, [[0.0, 1.0], [1.0, 0.5]], 2)
    assert network.looks == 1
    assert seen.features.tolist() == [[0.25], [0.5]]
    months = [(ages["regression"] / 120 - 1).tolist() for ages in seen.months]
    assert months == [[0.25, 1.5], [1.25, 1.0]]
