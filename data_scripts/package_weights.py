"""Puts the weights of a training run into the package, in half precision, with their recipe.

python data_scripts/package_weights.py outputs/pretrained/whole/checkpoints/best.ckpt pretrained
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from mrirecon.files.writing import atomic
from mrirecon.training.checkpoint import read_checkpoint, written_by
from mrirecon.weights import registry
from mrirecon.weights.places import digest
from mrirecon.weights.safetensors_file import SUFFIX, write_safetensors


def main() -> None:
    """Write the file and print what its entry has to say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    given = parser.parse_args()
    checkpoint = read_checkpoint(given.checkpoint)
    if checkpoint.recipe is None:
        raise SystemExit(f"{given.checkpoint} tells no recipe; take a checkpoint of mrirecon train")
    path = registry.PACKAGED / f"{given.name}{SUFFIX}"
    facts = {"mrirecon": written_by(), "recipe": asdict(checkpoint.recipe)}
    with atomic(path) as temporary:
        write_safetensors(temporary, checkpoint.weights, facts)
    numbers = sum(tensor.numel() for tensor in checkpoint.weights.values())
    print(f"{path}: {numbers:,} weights, {path.stat().st_size / 1e6:.1f} MB, {digest(path)}")


if __name__ == "__main__":
    main()
