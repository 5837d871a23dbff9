"""Ensembles of decision trees, as ONNX has them in three spellings: all become one primitive over arrays of nodes, breadth first."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.graph import Dim, Operator, Tensor, TensorType, make_constant, register
from dlcompile.operators.composite import composite

INT32 = np.dtype(np.int32)
MODES = {"BRANCH_LEQ": 0, "BRANCH_LT": 1, "BRANCH_GTE": 2, "BRANCH_GT": 3, "BRANCH_EQ": 4, "BRANCH_NEQ": 5}
MISSING = 8
MEMBER = "BRANCH_MEMBER"
MODE_NAMES = (*MODES, MEMBER)  # as TreeEnsemble numbers them
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
COMPARE = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
MOST_NODES = 2**30


# -- the primitive ----------------------------------------------------------------------------------------------------------
def _infer(types, attributes):
    x, roots, depths, features, thresholds, modes, yes, no, first, ids, weights = types
    if x.rank != 2 or x.dtype not in (np.float32, np.float64) or thresholds.dtype != x.dtype or weights.dtype != x.dtype:
        raise ShapeError(f"tree_ensemble of {x}: expected a matrix of float32 or float64, thresholds and weights of its type")
    return TensorType(x.dtype, (x.shape[0], attributes["targets"]))


def _evaluate(attributes, x, roots, depths, features, thresholds, modes, yes, no, first, ids, weights):
    """Every tree for all rows at once."""
    result = np.zeros((len(x), attributes["targets"]), np.float64)
    seen = np.zeros(result.shape, bool)
    rows = np.arange(len(x))
    for root, depth in zip(roots, depths):
        node = np.full(len(x), root)
        for _ in range(depth):
            value, threshold = x[rows, features[node]], thresholds[node]
            holds = np.choose(modes[node] % MISSING, [compare(value, threshold) for compare in COMPARE])
            holds |= (modes[node] >= MISSING) & np.isnan(value)
            node = np.where(holds, yes[node], no[node])
        for row, leaf in enumerate(node):
            for k in range(first[leaf], first[leaf + 1]):
                place = row, ids[k]
                if attributes["aggregate"] == "SUM" or not seen[place]:
                    result[place] += weights[k]
                else:
                    result[place] = (min if attributes["aggregate"] == "MIN" else max)(result[place], weights[k])
                seen[place] = True
    return result.astype(x.dtype)


register(Operator("tree_ensemble", "classical", infer=_infer, evaluate=_evaluate, accuracy="sum",
                  flops=lambda i, o, a: i[0].shape[0] * i[1].shape[0] * 16))


# -- nodes ------------------------------------------------------------------------------------------------------------------
@dataclass
class Forest:
    """Trees as they are read: of each node the feature, the threshold, the mode, and the nodes to go on with; those with `yes` < 0 are leaves, of
    which (target, weight) pairs are in `leaves`."""

    roots: list[int]
    features: list[int]
    thresholds: list[float]
    modes: list[int]
    yes: list[int]
    no: list[int]
    leaves: dict[int, list[tuple[int, float]]]
    tables: dict[np.dtype, tuple[np.ndarray, ...]] = field(default_factory=dict)

    def apply(self, x: Tensor, targets: int, aggregate: str) -> Tensor:
        """[rows, targets]: what the leaves that a row comes to have for each target, summed up (or the least, or the greatest)."""
        if x.rank == 1:
            x = ops.reshape(x, (1, *x.shape))
        if x.rank != 2:
            raise ShapeError(f"{x.type}: expected a matrix")
        x = x if x.dtype in (np.float32, np.float64) else ops.cast(x, np.float32)
        used = max((f for f, y in zip(self.features, self.yes) if y >= 0), default=0) + 1
        if min(self.features, default=0) < 0 or not isinstance(x.shape[1], Dim) and used > max(x.shape[1], 1):
            raise InvalidModelError(f"the trees have {used} features; the input is {x.type}")
        if isinstance(x.shape[1], Dim):
            x = ops.slice(x, (0, 0), (x.shape[0], used))
        if x.shape[1] == 0:  # trees that are leaves alone
            x = ops.broadcast_to(np.zeros((), x.dtype), (x.shape[0], 1))
        if targets < 1 or any(not 0 <= t < targets for pairs in self.leaves.values() for t, _ in pairs):
            raise InvalidModelError(f"a leaf has a target that is none of {targets}")
        if x.dtype not in self.tables:
            self.tables[x.dtype] = self._breadth_first(x.dtype)
        tables = self.tables[x.dtype]
        made = ops.apply_trees(x, *map(make_constant, tables), targets=targets, aggregate="SUM" if aggregate == "AVERAGE" else aggregate)
        return ops.div(made, np.asarray(max(len(self.roots), 1), x.dtype)) if aggregate == "AVERAGE" else made

    def _breadth_first(self, dtype: np.dtype) -> tuple[np.ndarray, ...]:
        """The tables of the primitive. A node that several lead to stays one; a leaf leads to itself."""
        order, number, roots, depths = [], {}, [], []
        for root in self.roots:
            level, depth, seen = [root], -1, set()
            while level:
                depth += 1
                if depth > len(self.yes):
                    raise InvalidModelError("a tree leads back to a node above")
                following = []
                for node in level:
                    if node not in number:
                        number[node] = len(order)
                        order.append(node)
                    if self.yes[node] >= 0:
                        following += [child for child in (self.yes[node], self.no[node]) if child not in seen]
                        seen.update((self.yes[node], self.no[node]))
                level = list(dict.fromkeys(following))
            roots.append(number[root])
        depths = [self._depth(root) for root in self.roots]
        inner = [self.yes[node] >= 0 for node in order]
        features = [self.features[n] if i else 0 for n, i in zip(order, inner)]
        thresholds = [self.thresholds[n] if i else 0.0 for n, i in zip(order, inner)]
        modes = [self.modes[n] if i else 0 for n, i in zip(order, inner)]
        yes, no = ([number[to[n]] if i else number[n] for n, i in zip(order, inner)] for to in (self.yes, self.no))
        pairs = [self.leaves.get(n, []) if not i else [] for n, i in zip(order, inner)]
        first = np.concatenate([[0], np.cumsum([len(p) for p in pairs], dtype=np.int64)])
        flat = [pair for p in pairs for pair in p]
        with np.errstate(over="ignore"):
            floats = [np.array(v, np.float64).astype(dtype) for v in (thresholds, [w for _, w in flat])]
        ints = [np.array(v, np.int32) for v in (roots, depths, features, yes, no, first, [t for t, _ in flat])]
        return (*ints[:3], floats[0], np.array(modes, np.uint8), *ints[3:], floats[1])

    def _depth(self, root: int) -> int:
        """The longest way to a leaf."""
        depths: dict[int, int] = {}
        stack = [(root, False)]
        entered: set[int] = set()
        while stack:
            node, done = stack.pop()
            if self.yes[node] < 0:
                depths[node] = 0
            elif done:
                depths[node] = 1 + max(depths[self.yes[node]], depths[self.no[node]])
                entered.discard(node)
            elif node not in depths:
                if node in entered:
                    raise InvalidModelError("a tree leads back to a node above")
                entered.add(node)
                stack += [(node, True), (self.yes[node], False), (self.no[node], False)]
        return depths[root]


def _values(attributes, name: str):
    tensor = attributes.get(f"{name}_as_tensor")
    return tensor.reshape(-1).tolist() if tensor is not None else list(attributes.get(name) or ())


_latest: tuple[list, Forest] | None = None  # the attributes read last, and what they say: a large model is decomposed more than once


def _read(attributes, ids: str) -> Forest:
    """As `_read_nodes`, once."""
    global _latest
    values, latest = list(attributes.values()), _latest
    if latest is None or len(latest[0]) != len(values) or any(a is not b for a, b in zip(latest[0], values)):
        _latest = latest = values, _read_nodes(attributes, ids)
    return latest[1]


def _read_nodes(attributes, ids: str) -> Forest:
    """The trees of TreeEnsembleRegressor and TreeEnsembleClassifier: nodes are known by the numbers of tree and node; `ids` is what the attributes of
    the weights begin with."""
    trees, nodes = list(attributes["nodes_treeids"] or ()), list(attributes["nodes_nodeids"] or ())
    count = len(nodes)
    columns = {name: list(attributes[f"nodes_{name}"] or ()) for name in ("featureids", "modes", "truenodeids", "falsenodeids")}
    columns["values"] = _values(attributes, "nodes_values")
    wrong = [name for name, column in (*columns.items(), ("treeids", trees)) if len(column) != count]
    if wrong or not count:
        raise InvalidModelError(f"there are {count} nodes_nodeids, and not as many nodes_{', nodes_'.join(wrong) or 'nodeids at least as 1'}")
    place = {pair: i for i, pair in enumerate(zip(trees, nodes))}
    missing = list(attributes["nodes_missing_value_tracks_true"] or ()) or [0] * count
    forest = Forest([], columns["featureids"], columns["values"], [0] * count, [-1] * count, [-1] * count, {})
    reached: set[int] = set()
    for i, mode in enumerate(columns["modes"]):
        if mode == "LEAF":
            continue
        if mode not in MODES:
            raise InvalidModelError(f"the mode {mode!r} of a node is none of LEAF, {', '.join(MODES)}")
        forest.modes[i] = MODES[mode] + (MISSING if missing[i] else 0)
        for to, column in ((forest.yes, "truenodeids"), (forest.no, "falsenodeids")):
            to[i] = place.get((trees[i], columns[column][i]), -1)
            if to[i] < 0:
                raise InvalidModelError(f"node {nodes[i]} of tree {trees[i]} leads to {columns[column][i]}, which is not there")
            reached.add(to[i])
    by_tree: dict[int, list[int]] = {}
    for i, tree in enumerate(trees):
        by_tree.setdefault(tree, []).append(i)
    for tree, members in by_tree.items():
        roots = [i for i in members if i not in reached]
        if len(roots) != 1:
            raise InvalidModelError(f"tree {tree} has {len(roots)} nodes that no other leads to; expected one, its root")
        forest.roots.append(roots[0])
        seen, stack = {roots[0]}, [roots[0]]
        while stack:
            i = stack.pop()
            new = {forest.yes[i], forest.no[i]} - seen if forest.yes[i] >= 0 else ()
            seen.update(new)
            stack += new
        if len(seen) != len(members):
            raise InvalidModelError(f"tree {tree} has nodes that its root does not lead to")
    weights = zip(attributes[f"{ids}_treeids"] or (), attributes[f"{ids}_nodeids"] or (), attributes[f"{ids}_ids"] or (),
                  _values(attributes, f"{ids}_weights"), strict=True)
    for tree, node, target, weight in weights:
        if (tree, node) not in place:
            raise InvalidModelError(f"there is a weight for node {node} of tree {tree}, which is not there")
        forest.leaves.setdefault(place[tree, node], []).append((target, weight))
    return forest


# -- ONNX's operators -------------------------------------------------------------------------------------------------------
@composite("tree_ensemble_regressor")
def _regressor(attributes, x):
    forest, targets = _read(attributes, "target"), attributes["n_targets"] or 1
    y = forest.apply(x, targets, attributes["aggregate_function"])
    base = _values(attributes, "base_values")
    y = ops.add(y, make_constant(np.asarray(base, y.dtype))) if base else y
    return ops.cast(ops.post_transform(y, attributes["post_transform"]), np.float32)


@composite("tree_ensemble_classifier", outputs=2)
def _classifier(attributes, x):
    """(index of the class, scores)"""
    forest = _read(attributes, "class")
    classes = len(attributes["classlabels_strings"] or attributes["classlabels_int64s"] or ())
    used = {target for pairs in forest.leaves.values() for target, _ in pairs}
    weights = [weight for pairs in forest.leaves.values() for _, weight in pairs]
    base = _values(attributes, "base_values")
    if classes == 2 and len(used) <= 1:
        for pairs in forest.leaves.values():
            pairs[:] = [(0, weight) for _, weight in pairs]
        score = forest.apply(x, 1, "SUM")
        score = ops.add(score, np.asarray(base[-1], score.dtype)) if base else score
        return ops.two_classes(score, attributes["post_transform"], min(weights, default=0) >= 0)
    scores = forest.apply(x, max(classes, 1), "SUM")
    scores = ops.add(scores, make_constant(np.asarray(base, scores.dtype))) if base else scores
    index = ops.cast(ops.argmax(scores, 1), np.int64)
    return index, ops.cast(ops.post_transform(scores, attributes["post_transform"]), np.float32)


@composite("tree_ensemble_5")
def _tree_ensemble(attributes, x):
    """ONNX TreeEnsemble: inner nodes and leaves in arrays of their own."""
    columns = [list(attributes[f"nodes_{name}"]) for name in ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")]
    columns += [np.asarray(attributes["nodes_splits"], np.float64).reshape(-1).tolist(), np.asarray(attributes["nodes_modes"]).reshape(-1).tolist()]
    weights = np.asarray(attributes["leaf_weights"], np.float64).reshape(-1).tolist()
    targets = list(attributes["leaf_targetids"])
    count = len(columns[0])
    if any(len(c) != count for c in columns) or len(weights) != len(targets) or not weights:
        raise InvalidModelError("the attributes nodes_* (or leaf_*) are not all of one length")
    features, true_ids, false_ids, true_leafs, false_leafs, splits, modes = columns
    missing = list(attributes["nodes_missing_value_tracks_true"] or ()) or [0] * count
    forest = Forest([], [*features, *(0 for _ in weights)], [*splits, *(0.0 for _ in weights)], [0] * (count + len(weights)),
                    [-1] * (count + len(weights)), [-1] * (count + len(weights)),
                    {count + i: [(t, w)] for i, (t, w) in enumerate(zip(targets, weights))})
    members = _member_sets(attributes, modes)

    def node(number: int, leaf: int) -> int:
        if not 0 <= number < (len(weights) if leaf else count):
            raise InvalidModelError(f"a node leads to {'leaf' if leaf else 'node'} {number}, which is not there")
        return number + count if leaf else number

    for i in range(count):
        if not 0 <= modes[i] < len(MODE_NAMES):
            raise InvalidModelError(f"the mode {modes[i]} of a node is none of 0 to {len(MODE_NAMES) - 1}")
        forest.yes[i], forest.no[i] = node(true_ids[i], true_leafs[i]), node(false_ids[i], false_leafs[i])
        flag = MISSING if missing[i] else 0
        if MODE_NAMES[modes[i]] != MEMBER:
            forest.modes[i] = MODES[MODE_NAMES[modes[i]]] + flag
            continue
        _chain(forest, i, members.pop(0), flag)
    roots = list(attributes["tree_roots"])
    for root in roots:
        node(root, 0)
        one_leaf = true_leafs[root] and false_leafs[root] and true_ids[root] == false_ids[root]
        forest.roots.append(forest.yes[root] if one_leaf else root)
    return ops.post_transform(forest.apply(x, attributes["n_targets"] or 1, AGGREGATES[attributes["aggregate_function"]]),
                              ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")[attributes["post_transform"]])


def _member_sets(attributes, modes: list[int]) -> list[list[float]]:
    """The sets of the nodes that ask for membership, one after the other: NaN ends each."""
    values = attributes["membership_values"]
    sets: list[list[float]] = [[]]
    for value in [] if values is None else np.asarray(values, np.float64).reshape(-1).tolist():
        if value != value:
            sets.append([])
        else:
            sets[-1].append(value)
    wanted = sum(MODE_NAMES[m] == MEMBER for m in modes if 0 <= m < len(MODE_NAMES))
    if wanted > len(sets):
        raise InvalidModelError(f"membership_values has {len(sets)} sets for {wanted} nodes")
    return sets


def _chain(forest: Forest, node: int, members: list[float], flag: int) -> None:
    """x in {a, b, …} as x == a, else x == b, else …"""
    yes, no, feature = forest.yes[node], forest.no[node], forest.features[node]
    forest.modes[node], forest.thresholds[node] = MODES["BRANCH_EQ"] + flag, members[0] if members else np.nan
    for value in members[1:]:
        forest.no[node] = node = len(forest.yes)
        for column, entry in ((forest.features, feature), (forest.thresholds, value), (forest.modes, MODES["BRANCH_EQ"] + flag),
                              (forest.yes, yes), (forest.no, no)):
            column.append(entry)
