"""Factors: parts and appearances of one layer of one generator, where they came from, and their file."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .method.parts import combine_parts, scale_parts
from .method.variations import SUPPORT, Variations
from .runtime.tensor_files import write_tensors
from .shapes import check_shape

FORMAT = 2  # 2 brought things and variations
MAX_NAME = 40  # characters of a part's or an appearance's name
SIGN_RULE = "the entry of largest magnitude in every column of A is positive"


@dataclass(frozen=True)
class Ends:
    """What the two ends of a variation are called; found with labels or by eye, unlike the variation.

    low, high: words for what strengths below and above 0 lead to. correlation: of its scores with the factor that it is
    named after, |r|. shares: of the wanted change that each end makes up for, measured on exact pictures; None: nobody
    could measure it, and somebody who looked gave the names.
    """

    low: str
    high: str
    correlation: float = 0.0
    shares: tuple[float, float] | None = (0.0, 0.0)


@dataclass(frozen=True)
class FactorsInfo:
    """Where factors came from and what the fit measured; the metadata of the file.

    class_index: None for all classes, or for a generator without. samples, seed: N and what they were drawn from. loss:
    Eq. 3 per sample, in feature units squared; energy: the share of Σ‖Z‖² that is explained; bound: what no P of this
    rank can exceed; stability: for every part its |cos| with the part that other samples give; is_raw: named strengths
    are raw α (the authors' own files). things: groups of parts that vary together, every part in exactly one.
    background: (number, sign) of the appearance at the pictures' border. thing_names: of regions of several parts, by
    their parts as in "1,4". ends: of such regions too, for each variation what its two ends are called, or None.
    """

    generator: str
    weights: str
    layer: int
    height: int
    width: int
    class_index: int | None = None
    psi: float = 1.0
    samples: int = 0
    seed: int = 0
    solver: str = ""
    loss: float = 0.0
    energy: float = 0.0
    bound: float = 1.0
    stability: tuple[float, ...] = ()
    sign_rule: str = SIGN_RULE
    is_raw: bool = False
    part_names: dict[int, str] = field(default_factory=dict)
    appearance_names: dict[int, str] = field(default_factory=dict)
    things: tuple[tuple[int, ...], ...] = ()
    background: tuple[int, int] | None = None
    thing_names: dict[str, str] = field(default_factory=dict)
    ends: dict[str, list["Ends | None"]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Factors:
    """What the two papers learn, for one layer.

    appearances: A, [C, R_C], orthonormal columns, strongest first. parts: P >= 0, [S, R_S], strongest first. mean: z̄,
    [C]. second_moment: ΣZZᵀ/NS, [C, C]. sigma: standard deviation of a_jᵀZp̂_k over samples, [R_C, R_S]. suggested:
    for every part appearance numbers, best first, [R_S, n]. variations: of a region, as its sorted part numbers, what
    varies there; where they are missing they can be learned.
    """

    appearances: Tensor
    parts: Tensor
    mean: Tensor
    second_moment: Tensor
    sigma: Tensor
    suggested: Tensor
    info: FactorsInfo
    variations: Mapping[tuple[int, ...], Variations] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape("A", self.appearances, C=None, R_C=None)
        check_shape("P", self.parts, S=self.info.height * self.info.width, R_S=None)
        (C, R_C), (S, R_S) = self.appearances.shape, self.parts.shape
        check_shape("mean", self.mean, C=C)
        check_shape("second_moment", self.second_moment, C=C, C_=C)
        check_shape("sigma", self.sigma, R_C=R_C, R_S=R_S)
        check_shape("suggested", self.suggested, R_S=R_S, n=None)
        if R_C > C or R_S > S:
            raise ValueError(f"A is {C} x {R_C} and P is {S} x {R_S}; neither can have more columns than rows.")
        for name in ("appearances", "parts", "mean", "second_moment", "sigma"):
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise ValueError(f"{name} holds a value that is not a finite number.")
        if bool((self.parts < 0).any()):
            raise ValueError("parts holds a negative value; parts are >= 0.")
        if self.suggested.numel() and not 0 <= int(self.suggested.min()) <= int(self.suggested.max()) < R_C:
            raise ValueError(f"suggested names an appearance outside 0 to {R_C - 1}.")
        if self.info.things and sorted(k for thing in self.info.things for k in thing) != list(range(R_S)):
            raise ValueError(f"things are {self.info.things}; every part from 0 to {R_S - 1} must be in exactly one.")
        for parts, found in self.variations.items():
            M, n = len(found), int(found.support.sum())
            if not parts or list(parts) != sorted(set(parts)) or not 0 <= parts[0] <= parts[-1] < R_S:
                raise ValueError(f"variations are of the parts {parts}; there are 0 to {R_S - 1}.")
            check_shape("variations", found.units, M=M, C=C, n=n)
            check_shape("deviations", found.deviations, M=M)
            check_shape("centres", found.centres, M=M)

    @property
    def scaled_parts(self) -> Tensor:
        """p̂, [S, R_S]: every part min-max scaled to [0, 1]."""
        return scale_parts(self.parts)

    def part_name(self, part: int) -> str:
        return self.info.part_names.get(part, f"part {part}")

    def appearance_name(self, appearance: int) -> str:
        return self.info.appearance_names.get(appearance, f"appearance {appearance}")

    @property
    def things(self) -> tuple[tuple[int, ...], ...]:
        """Groups of parts that vary together; each part alone where nobody measured."""
        return self.info.things or tuple((k,) for k in range(self.parts.shape[1]))

    def thing_of(self, part: int) -> tuple[int, ...]:
        """The thing that a part belongs to."""
        self.check_choice(0, [part])
        return next(thing for thing in self.things if part in thing)

    def around(self, thing: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """A thing, then the larger regions around it whose variations are stored ("all hair"), smallest first."""
        larger = [parts for parts in self.variations if set(thing) < set(parts)]
        return (thing, *sorted(larger, key=len))

    def region_name(self, parts: Sequence[int]) -> str:
        """What a part, or several, are called: things by their names, then parts."""
        if len(parts) == 1:
            return self.part_name(parts[0])
        if named := self.info.thing_names.get(region_key(parts)):
            return named
        left, names = set(parts), []
        for thing in self.things:  # several things by their own names
            if len(thing) < len(parts) and left.issuperset(thing):
                names.append(self.region_name(thing))
                left.difference_update(thing)
        return ", ".join(dict.fromkeys([*names, *(self.part_name(k) for k in sorted(left))]))

    def ends(self, parts: Sequence[int], variation: int) -> Ends | None:
        """What the ends of a variation of these parts are called; None: nobody has named them."""
        found = self.info.ends.get(region_key(parts), [])
        return found[variation] if variation < len(found) else None

    def offered(self, part: int, count: int) -> list[int]:
        """The first `count` different appearances suggested for a part; a row that repeats a number ends there."""
        return list(dict.fromkeys(self.suggested[part].tolist()))[:count]

    def alpha_at_part(self, appearance: int, part: int) -> float:
        """α of one unit of strength at a learned part, σ(a_jᵀZp̂) / (p̂ᵀp̂), in feature units; docs/architecture.md."""
        self.check_choice(appearance, [part])
        region = self.scaled_parts[:, part].double()
        return float(self.sigma[appearance, part] / region.square().sum().clamp_min(1e-12))

    def alpha_anywhere(self, appearance: int) -> float:
        """α of one unit in any other region: the standard deviation of a_jᵀz over samples and positions.

        √(a_jᵀ(ΣZZᵀ/NS)a_j - μ_j²), μ_j = a_jᵀz̄, in feature units.
        """
        self.check_choice(appearance, [])
        a, mean = self.appearances[:, appearance].double(), self.mean.double()
        return math.sqrt(max(float(a @ self.second_moment.double() @ a - (a @ mean) ** 2), 0.0))

    def threshold(self, appearance: int) -> float:
        """μ_j = a_jᵀz̄: the mean of concept j over samples and positions, where masks are cut (I 4.1.2)."""
        self.check_choice(appearance, [])
        return float(self.appearances[:, appearance].double() @ self.mean.double())

    def check_choice(self, appearance: int, parts: list[int]) -> None:
        """Raise a ValueError if these factors have no such appearance or part."""
        R_C, R_S = self.sigma.shape
        if not 0 <= appearance < R_C:
            raise ValueError(f"appearance is {appearance}; these factors have 0 to {R_C - 1}.")
        for part in parts:
            if not 0 <= part < R_S:
                raise ValueError(f"part is {part}; these factors have 0 to {R_S - 1}.")

    def check_fits(self, weights: str, layers: dict[int, tuple[int, int, int]]) -> None:
        """Raise a ValueError that says what does not match a generator with this hash and these layers."""
        info = self.info
        if info.weights != weights:
            raise ValueError(
                f"These factors were learned from weights {info.weights} ({info.generator}); "
                f"this generator has weights {weights}."
            )
        shape = (len(self.mean), info.height, info.width)
        if layers.get(info.layer) != shape:
            raise ValueError(
                f"These factors are for layer {info.layer} of shape {shape}; "
                f"this generator has {layers.get(info.layer, 'no such layer')} there."
            )

    def with_info(self, **changes) -> Self:
        return replace(self, info=replace(self.info, **changes))

    def rename(self, kind: str, number: int, name: str) -> Self:
        """These factors with one name changed; kind is "part" or "appearance", an empty name takes the old one away.

        Raises: ValueError for a name that is longer than MAX_NAME or not plain text.
        """
        name = " ".join(name.split())
        if len(name) > MAX_NAME or not name.isprintable():
            raise ValueError(f"The name has {len(name)} characters; it must be plain text of at most {MAX_NAME}.")
        field = {"part": "part_names", "appearance": "appearance_names"}[kind]
        names = {n: old for n, old in getattr(self.info, field).items() if n != number}
        return self.with_info(**{field: names | ({number: name} if name else {})})

    @property
    def nbytes(self) -> int:
        tensors = sum(getattr(self, name).nbytes for name in _TENSORS.values())
        return tensors + sum(found.nbytes for found in self.variations.values())

    def digest(self) -> str:
        """16 hex digits that all tensors and everything that is said of them decide."""
        made = hashlib.sha256(json.dumps(asdict(self.info), sort_keys=True).encode())
        for name in _TENSORS.values():
            made.update(getattr(self, name).contiguous().numpy().tobytes())
        for parts, found in sorted(self.variations.items()):
            made.update(f"{parts}".encode() + found.units.contiguous().numpy().tobytes())
        return made.hexdigest()[:16]

    def stem(self) -> str:
        """The file's name without its ending: l<layer>-c<class>-psi<ψ>-<R_C>x<R_S>."""
        info, (R_C, R_S) = self.info, self.sigma.shape
        cls = "all" if info.class_index is None else info.class_index
        return f"l{info.layer}-c{cls}-psi{info.psi:g}-{R_C}x{R_S}"

    def path(self, root: Path) -> Path:
        """Where this file belongs under `root`: factors/<hash>/<stem>.safetensors."""
        return root / "factors" / self.info.weights / f"{self.stem()}.safetensors"

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all."""
        tensors = {key: getattr(self, name) for key, name in _TENSORS.items()}
        for parts, found in self.variations.items():
            for name in _OF_VARIATIONS:
                tensors[f"variations.{region_key(parts)}.{name}"] = getattr(found, name)
        info = json.dumps(asdict(self.info), sort_keys=True, allow_nan=False)
        write_tensors(path, tensors, {"format": str(FORMAT), "info": info})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises: ValueError naming the file if it is not one of ours, is newer than this code, or does not hold together.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dict)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path.name} is not a readable safetensors file: {error}") from error
        version = metadata.get("format", "")
        of_regions = {key: tensors.pop(key) for key in set(tensors) - set(_TENSORS) if key.startswith("variations.")}
        if "info" not in metadata or not version.isdecimal() or set(tensors) != set(_TENSORS):
            raise ValueError(
                f"{path.name} is not a factors file: it must hold {', '.join(_TENSORS)} and their metadata."
            )
        if int(version) > FORMAT:
            raise ValueError(f"{path.name} has format {version}; this version of panda_core reads up to {FORMAT}.")
        try:
            info = _read_info(json.loads(metadata["info"], parse_constant=_no_constant))
            held = [_read_tensor(key, tensors[key]) for key in _TENSORS]
            return cls(*held, info=info, variations=_read_variations(of_regions, held[1]))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"{path.name} does not hold together: {error}") from error


_TENSORS = {  # name in the file -> field, in the order of the fields
    "A": "appearances",
    "P": "parts",
    "mean": "mean",
    "second_moment": "second_moment",
    "sigma": "sigma",
    "suggested": "suggested",
}


_OF_VARIATIONS = ("units", "deviations", "centres")  # in the file; support and region follow from P


def region_key(parts: Sequence[int]) -> str:
    """A region of parts as a file names it: "1,4"."""
    return ",".join(map(str, sorted(parts)))


def _read_variations(tensors: dict[str, Tensor], P: Tensor) -> dict[tuple[int, ...], Variations]:
    groups: dict[tuple[int, ...], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        _, parts, name = key.split(".")
        if name not in _OF_VARIATIONS or not tensor.is_floating_point() or tensor.ndim != (3 if name == "units" else 1):
            raise ValueError(f"{key} is {tensor.dtype} of {list(tensor.shape)}, which no variation has.")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{key} holds a value that is not a finite number.")
        groups.setdefault(tuple(int(k) for k in parts.split(",")), {})[name] = tensor
    found = {}
    for parts, held in groups.items():
        if len(held) < len(_OF_VARIATIONS) or not all(0 <= k < P.shape[1] for k in parts):
            raise ValueError(f"the variations of {region_key(parts)} lack a tensor or name a part that is not there.")
        region = combine_parts(P, parts)
        support = region > SUPPORT
        found[parts] = Variations(
            held["units"], held["deviations"].float(), held["centres"].float(), support, region[support]
        )
    return found


def _read_tensor(key: str, tensor: Tensor) -> Tensor:
    counts = key == "suggested"
    if tensor.is_floating_point() == counts or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{key} holds {tensor.dtype}; it must hold {'whole' if counts else 'real'} numbers.")
    if tensor.ndim != (1 if key == "mean" else 2):  # check_shape lets leading dimensions pass
        raise ValueError(f"{key} has shape {list(tensor.shape)}; it must have {1 if key == 'mean' else 2} dimensions.")
    return tensor.long() if counts else tensor.float()


def _no_constant(name: str):
    raise ValueError(f"its metadata holds {name}; numbers must be finite.")


def _read_info(values: dict) -> FactorsInfo:
    known = {f.name for f in fields(FactorsInfo)} | {"reach"}
    if not isinstance(values, dict) or not {"generator", "weights", "layer", "height", "width"} <= set(values) <= known:
        raise ValueError(f"its metadata must have fields among {', '.join(sorted(known))}.")
    values = dict(values)
    kinds = {
        "whole": ("layer", "height", "width", "samples", "seed"),
        "text": ("generator", "weights", "solver", "sign_rule"),
        "number": ("psi", "loss", "energy", "bound"),
        "yes or no": ("is_raw",),
    }
    accepted = {"whole": (int,), "text": (str,), "number": (int, float), "yes or no": (bool,)}
    if values.get("class_index") is not None:
        kinds["whole"] += ("class_index",)
    for kind, keys in kinds.items():
        for key in keys:
            given = values.get(key)
            if key in values and (type(given) not in accepted[kind] or (kind == "whole" and given < 0)):
                raise ValueError(f"{key} is {given!r:.40}; it must be a {kind}{' number' * (kind == 'whole')}.")
    for key in ("part_names", "appearance_names"):
        values[key] = {int(number): _clean(name) for number, name in values.get(key, {}).items()}
    values["versions"] = {_clean(key): _clean(text) for key, text in values.get("versions", {}).items()}
    values.pop("reach", None)  # of format 1
    values["things"] = tuple(tuple(int(k) for k in thing) for thing in values.get("things", ()))
    if values.get("background") is not None:
        number, sign = values["background"]
        if type(number) is not int or number < 0 or sign not in (1, -1):
            raise ValueError(f"background is {number!r:.20}, {sign!r:.20}; it must be an appearance and 1 or -1.")
        values["background"] = number, sign
    values["thing_names"] = {_clean(key): _clean(name) for key, name in values.get("thing_names", {}).items()}
    values["ends"] = {_clean(key): [_read_ends(row) for row in rows] for key, rows in values.get("ends", {}).items()}
    values["stability"] = tuple(float(x) for x in values.get("stability", ()))
    return FactorsInfo(**values)


def _read_ends(given) -> Ends | None:
    if given is None:
        return None
    low, high, correlation, shares = (given[key] for key in ("low", "high", "correlation", "shares"))
    if shares is not None:
        below, above = (min(max(float(x), -1.0), 1.0) for x in shares)
        shares = below, above
    return Ends(_clean(low), _clean(high), min(abs(float(correlation)), 1.0), shares)


def _clean(name) -> str:
    """A name as one line of printable text, whatever a file holds."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(name)[:80]).split())


def suggest_by_size(sigma: Tensor) -> Tensor:
    """For every part the 48 appearances that the data varies most there, [R_S, 48 or R_C]: a first guess by σ alone."""
    return sigma.t().argsort(dim=1, descending=True)[:, :48].contiguous()
