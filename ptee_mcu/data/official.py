"""The official files of each data set: where they are published, their sums, where they go."""

from dataclasses import dataclass
from difflib import get_close_matches

from ptee_mcu.errors import DataError


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive, by its path in the archive and in the data folder."""

    path: str
    md5: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A published file.

    `path` is relative to the data folder. `urls` are tried in turn. An archive has `members`: only they are unpacked,
    and the archive goes again where it was downloaded here.
    """

    path: str
    md5: str
    urls: tuple[str, ...]
    members: tuple[Member, ...] = ()


def _idx(folder: str, bases: tuple[str, ...], sums: dict[str, str]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(f"{folder}/{name}.gz", md5, tuple(f"{base}{name}.gz" for base in bases))
        for name, md5 in sums.items()
    )


# Source of the sums: the page of CIFAR-10, https://www.cs.toronto.edu/~kriz/cifar.html (archive), the README of
# Fashion-MNIST, and torchvision, torchvision/datasets/{cifar,mnist,svhn}.py (all).
_CIFAR10 = (
    RemoteFile(
        "cifar-10-python.tar.gz",
        "c58f30108f718f92721af3b95e74349a",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
        (
            Member("cifar-10-batches-py/data_batch_1", "c99cafc152244af753f735de768cd75f"),
            Member("cifar-10-batches-py/data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            Member("cifar-10-batches-py/data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            Member("cifar-10-batches-py/data_batch_4", "634d18415352ddfa80567beed471001a"),
            Member("cifar-10-batches-py/data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            Member("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e"),
        ),
    ),
)
_SVHN = (
    RemoteFile(
        "svhn/train_32x32.mat",
        "e26dedcc434d2e4c54c9b2d4a06d8373",
        ("http://ufldl.stanford.edu/housenumbers/train_32x32.mat",),
    ),
    RemoteFile(
        "svhn/test_32x32.mat",
        "eb5a983be6a315427106f1b164d9cef3",
        ("http://ufldl.stanford.edu/housenumbers/test_32x32.mat",),
    ),
)
# The page of MNIST has not served its files for years; these two hosts carry them unchanged.
_MNIST = _idx(
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    },
)
_FASHION_MNIST = _idx(
    "fashion-mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    {
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
)
OFFICIAL: dict[str, tuple[RemoteFile, ...]] = {
    "cifar10": _CIFAR10,
    "svhn": _SVHN,
    "mnist": _MNIST,
    "fashion-mnist": _FASHION_MNIST,
}


def official(name: str) -> tuple[RemoteFile, ...]:
    """The official files of the data set `name`.

    Raises:
        DataError: where none are known, with the nearest known name.
    """
    files = OFFICIAL.get(name)
    if files is None:
        near = get_close_matches(name, OFFICIAL, n=1, cutoff=0.5)
        raise DataError(
            f"no data set {name!r} can be fetched",
            hint=(f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(OFFICIAL)}",
        )
    return files
