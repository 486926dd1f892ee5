"""Writes the arrays beside it with NumPy; the tests read them. Run by hand: python3 make.py"""
from pathlib import Path

import numpy as np

here = Path(__file__).parent
counting = np.arange(6).reshape(2, 3)
np.save(here / "c_order.npy", counting.astype("<f4"))
np.save(here / "fortran.npy", np.asfortranarray(counting.astype("<f8")))
np.save(here / "big_endian.npy", counting.astype(">i4"))
np.save(here / "scalar.npy", np.float16(1.5))
np.save(here / "empty.npy", np.zeros((0, 3), np.int64))
np.save(here / "objects.npy", np.array([{}, None], dtype=object), allow_pickle=True)
with open(here / "version2.npy", "wb") as f:
    np.lib.format.write_array(f, np.array([True, False]), version=(2, 0))
arrays = {"f32": counting.astype("f4"), "i64": counting, "mask": counting > 2, "u8": np.array(7, "u1"), "a/b": np.zeros(1000)}
np.savez(here / "stored.npz", **arrays)
np.savez_compressed(here / "deflated.npz", **arrays)
