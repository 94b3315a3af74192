"""What signatures say of arrays and of trees of them.

Arrays come from libraries that share no class, so these names tell a reader what is meant; a type
checker sees through them.
"""

from __future__ import annotations

from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of NumPy, JAX, or any library of the array API standard."""
Tree: TypeAlias = Any
"""An array, or dicts, tuples and lists of trees."""
Params: TypeAlias = dict[str, Any]
"""A nested dict of arrays, every leaf trainable."""
State: TypeAlias = Any
"""A tree of arrays; every leaf has the batch axes in front."""
Inputs: TypeAlias = Any
"""What ``embed`` gives: a tree of arrays."""
Reads: TypeAlias = Any
"""What ``read`` gives: a tree of arrays."""
Element: TypeAlias = Any
"""A piece of a sequence as an element of a semigroup: a tree of arrays."""
Starts: TypeAlias = Any
"""``(..., T)`` bool, or None: where a sequence begins."""
Key: TypeAlias = Any
"""A ``jax.random.key``, a ``numpy.random.Generator`` or an int seed; inside a model a `Draw`."""
Dtype: TypeAlias = Any
"""The dtype of an array's library, or its name."""
Namespace: TypeAlias = Any
"""The functions of an array's library, as the array API standard names them."""
Value: TypeAlias = Any
"""One value whose kind is looked at: a hyperparameter, or what a file of JSON holds."""
