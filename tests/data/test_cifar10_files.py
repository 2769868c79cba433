from pathlib import Path

import numpy as np
from support.data import cifar10_test

from ptee_mcu.data.cifar10 import load_cifar10


def test_files_of_the_full_size_are_read(tmp_path: Path) -> None:
    x, y = cifar10_test()
    table = np.concatenate([y.astype(np.uint8)[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)], axis=1)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        table.tofile(folder / f"{name}.bin")
    loaded = load_cifar10(tmp_path)
    assert np.array_equal(loaded.test_x, x)
    assert np.array_equal(loaded.test_y, y)
    assert loaded.train_x.shape == (50_000, 32, 32, 3)
