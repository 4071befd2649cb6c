"""Writes the .npy and .npz files that the tests read, with numpy 2: python3 make_arrays.py (in this folder)."""
import numpy as np

values = np.array([[0.5, -1.25, 3.0], [100.0, -0.0, 7.75]])
for kind in ["<f2", "<f4", "<f8", ">f4", ">f8", "|i1", "<i2", ">i4", "<i8", "|u1", "<u2", "<u4", "|b1"]:
    order = values if kind[1] in "fi" else np.abs(values)
    np.save(f"array-{kind[1:]}{'-big' if kind[0] == '>' else ''}.npy", order.astype(kind))
np.save("array-fortran.npy", np.asfortranarray(np.arange(24, dtype="<i4").reshape(2, 3, 4)))
np.save("array-scalar.npy", np.float32(2.5))
np.save("array-empty.npy", np.zeros((0, 3), "<f4"))
np.savez("stored.npz", a=values.astype("<f4"), b=np.arange(5))
np.savez_compressed("deflated.npz", zeros=np.zeros((50, 40)), b=np.array([True, False]))
