"""The encoders of this package, by the class that they are for.

Classes are named, not imported: a class is looked up in `sys.modules` when a value that may be
one of it is met, so that nothing heavy is loaded. The names stand in the encodings: they never
change, and a class that moves gets a second row.
"""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """One class and the encoder for it.

    Attributes:
        module: Where the class is looked up.
        attribute: Under which name.
        encoders: Module of this package with the encoder.
        function: The encoder.
        whole: The encoder covers whatever subclasses add, or treats them as the class itself.
    """

    module: str
    attribute: str
    encoders: str
    function: str
    whole: bool = False


# Subclasses of these get their qualified name and own attributes added.
_OPEN = {
    "plain": {
        "decimal Decimal": "encode_text",
        "fractions Fraction": "encode_fraction",
        "uuid UUID": "encode_uuid",
        "builtins range": "encode_slice",
        "builtins slice": "encode_slice",
        "types EllipsisType": "encode_nothing",
        "types NotImplementedType": "encode_nothing",
        "datetime date": "encode_date",
        "datetime datetime": "encode_datetime",
        "datetime time": "encode_time",
        "datetime timedelta": "encode_timedelta",
        "datetime timezone": "encode_timezone",
        "zoneinfo ZoneInfo": "encode_zone",
        "collections OrderedDict": "encode_ordered_dict",
        "collections defaultdict": "encode_defaultdict",
        "collections deque": "encode_deque",
        "types MappingProxyType": "encode_mapping",
        "types SimpleNamespace": "encode_namespace",
        "re Pattern": "encode_pattern",
    },
    "functions": {
        "types FunctionType": "encode_function",
        "types BuiltinFunctionType": "encode_builtin",
        "types MethodType": "encode_method",
        "types MethodDescriptorType": "encode_descriptor",
        "types WrapperDescriptorType": "encode_descriptor",
        "types MethodWrapperType": "encode_builtin",
        "types CodeType": "encode_code",
        "functools partial": "encode_partial",
        "functools _lru_cache_wrapper": "encode_wrapper",
    },
    "arrays": {
        "numpy ndarray": "encode_array",
        "numpy memmap": "encode_array",
        "numpy generic": "encode_array",
        "numpy.ma MaskedArray": "encode_masked_array",
    },
    "tensors": {
        "torch Tensor": "encode_tensor",
        "torch Size": "encode_size",
        "torch dtype": "encode_name",
        "torch device": "encode_name",
        "torch layout": "encode_name",
        "torch memory_format": "encode_name",
    },
    "polars_frames": {
        "polars DataFrame": "encode_frame",
        "polars Series": "encode_series",
    },
}

# These cover their subclasses.
_WHOLE = {
    "plain": {
        "enum Enum": "encode_enum",
        "pathlib PurePath": "encode_path",
        "builtins type": "encode_class",
        "types ModuleType": "encode_module",
        "types GenericAlias": "encode_alias",
        "types UnionType": "encode_alias",
        "typing _GenericAlias": "encode_alias",
        "pydantic BaseModel": "encode_pydantic",
        "msgspec Struct": "encode_struct",
        "types GeneratorType": "refuse_iterator",
        "types CoroutineType": "refuse_iterator",
        "types AsyncGeneratorType": "refuse_iterator",
        "builtins map": "refuse_iterator",
        "builtins filter": "refuse_iterator",
        "builtins zip": "refuse_iterator",
        "_io _IOBase": "refuse_file",
        "random Random": "refuse_random",
    },
    "arrays": {
        "numpy dtype": "encode_dtype",
        "numpy ufunc": "encode_ufunc",
        "numpy.random Generator": "refuse_generator",
        "numpy.random BitGenerator": "refuse_generator",
        "numpy.random RandomState": "refuse_generator",
    },
    "tensors": {
        "torch.nn Module": "refuse_module",
        "torch Generator": "refuse_generator",
    },
    "images": {
        "PIL.Image Image": "encode_image",
    },
    "frames": {
        "pandas Series": "encode_series",
        "pandas DataFrame": "encode_frame",
        "pandas Index": "encode_index",
        "pandas.api.extensions ExtensionArray": "encode_extension_array",
        "pandas Timestamp": "encode_timestamp",
        "pandas Timedelta": "encode_timestamp",
        "pandas._libs.tslibs.nattype NaTType": "encode_singleton",
        "pandas._libs.missing NAType": "encode_singleton",
        "pandas Interval": "encode_interval",
        "pandas Period": "encode_period",
    },
    "polars_frames": {
        "polars LazyFrame": "refuse_lazy",
    },
    "arrow": {
        "pyarrow Table": "encode_table",
        "pyarrow RecordBatch": "encode_table",
        "pyarrow Array": "encode_array",
        "pyarrow ChunkedArray": "encode_array",
        "pyarrow Scalar": "encode_scalar",
        "pyarrow Schema": "encode_schema",
        "pyarrow DataType": "encode_type",
    },
}


def _targets(table: dict[str, dict[str, str]], *, whole: bool) -> list[Target]:
    return [
        Target(module, attribute, encoders, function, whole)
        for encoders, rows in table.items()
        for path, function in rows.items()
        for module, attribute in [path.split(" ")]
    ]


TARGETS = (*_targets(_OPEN, whole=False), *_targets(_WHOLE, whole=True))
