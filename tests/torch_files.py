"""Files of PyTorch, written by hand: one operation of the pickle after the other."""

import io
import pickle
import zipfile

OMIT = object()


def plain(value):
    """A pickle of a plain value, to be put within another: no protocol, no memo, no stop."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=2)
    pickler.fast = True
    pickler.dump(value)
    return stream.getvalue()[2:-1]


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def dict_of(entries):
    return b"}(" + b"".join(plain(key) + value for key, value in entries.items()) + b"u"


ORDERED_DICT = name("collections", "OrderedDict") + b")R"


def tensor(key, count, *, kind="FloatStorage", offset=0, shape=None, strides=(1,)):
    location = (plain("storage"), name("torch", kind), plain(key), plain("cpu"), plain(count))
    arguments = (plain(offset), plain(shape or (count,)), plain(strides), b"\x89", ORDERED_DICT)
    storage = tuple_of(*location) + b"Q"
    return name("torch._utils", "_rebuild_tensor_v2") + tuple_of(storage, *arguments) + b"R"


def parameter(value):
    return (
        name("torch._utils", "_rebuild_parameter") + tuple_of(value, b"\x88", ORDERED_DICT) + b"R"
    )


def archive(path, content, storages=None, byteorder=b"little", compression=zipfile.ZIP_STORED):
    """`content` is the pickle, `storages` the bytes of each key."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("tiny/data.pkl", b"\x80\x02" + content + b".")
        if byteorder is not OMIT:
            file.writestr("tiny/byteorder", byteorder)
        for key, data in (storages or {}).items():
            file.writestr(f"tiny/data/{key}", data)
    return path
