"""Training the hand mask from hand-drawn outlines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from boneage_node.bone_age.networks import HandUNet
from boneage_node.bone_age.segmentation import input_planes, segment, whole_frame
from boneage_node.bone_age.words import Refusal

from .augment import Warp, vary_tone
from .data import Example, Outline, read_image, share_of
from .fitting import Averaged, autocast, cosine

HELD_OUT = 16
"""Outlines kept from training, on which the overlap is reported."""

BATCH = 12


def split_outlines(outlines: list[Outline]) -> tuple[list[Outline], list[Outline]]:
    """(training, held out): the same ones every time, whatever order they come in."""
    ordered = sorted(outlines, key=lambda outline: share_of(outline.id, "outline"))
    return ordered[HELD_OUT:], ordered[:HELD_OUT]


def _square(outline: Outline, path: Path) -> npt.NDArray[np.float32]:
    """What the network sees, shape (3, s, s): grey, where the image is, and the true mask."""
    image = read_image(path)
    frame = whole_frame(image)
    mask = outline.mask(*image.shape).astype(np.float32)
    return np.stack([frame.cut(plane) for plane in (image, np.ones_like(image), mask)])


def fit_segmentation(
    outlines: list[Outline],
    examples: list[Example],
    *,
    steps: int,
    seed: int,
    progress: Callable[[int, float], None],
) -> HandUNet:
    """Train the U-Net; ``progress(step, loss)`` is called after each step.

    The loss is binary cross-entropy plus soft Dice (Milletari et al. 2016), which keeps small hands from
    being outvoted by their background.
    """
    paths = {example.id: example.path for example in examples}
    squares = torch.from_numpy(
        np.stack([_square(outline, paths[outline.id]) for outline in outlines if outline.id in paths])
    )
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    warp = Warp(rotation_degrees=180, scale=0.35, shift=0.15)
    network: HandUNet = HandUNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Averaged(network, decay=0.99)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, cosine(steps, warm_up=50))
    for step in range(steps):
        chosen = torch.randint(len(squares), (BATCH,), generator=generator)
        batch = warp(squares[chosen], generator)
        grey, inside, target = vary_tone(batch[:, :1], generator), batch[:, 1] > 0.5, batch[:, 2:]
        planes = [input_planes(g[0].numpy(), i.numpy()) for g, i in zip(grey, inside, strict=True)]
        seen = torch.from_numpy(np.stack(planes)).contiguous(memory_format=torch.channels_last)
        with autocast(torch.device("cpu")):
            logits = network(seen)
        logits = logits.float()
        share = logits.sigmoid()
        overlap = (2 * (share * target).sum((1, 2, 3)) + 1) / (
            share.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1
        )
        loss = functional.binary_cross_entropy_with_logits(logits, target) + (1 - overlap).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average.update(network)
        progress(step, float(loss.detach()))
    return average.network


def overlap(network: HandUNet, outlines: list[Outline], examples: list[Example]) -> list[float]:
    """Intersection over union with each hand-drawn outline, 0 where the mask was refused."""
    paths = {example.id: example.path for example in examples}
    shares = []
    for outline in outlines:
        if outline.id not in paths:
            continue
        image = read_image(paths[outline.id])
        truth = outline.mask(*image.shape)
        try:
            mask = segment(network, image, torch.device("cpu"))
        except Refusal:
            shares.append(0.0)
            continue
        shares.append(float((mask & truth).sum() / (mask | truth).sum()))
    return shares
