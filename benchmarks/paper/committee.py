"""A committee of small SMiLE networks that becomes one network, with one certificate.

The mean of K networks f_k = g_k(clip(h_k; lo_k, hi_k)) is itself of that form: put their latent units side by
side and divide their heads by K. So members are trained one by one, which makes them differ as much
as their seeds do, and what is verified and predicts is the one joined network.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from smile_sklearn.network import SMiLENetwork
from smile_sklearn.network.auxiliary import BoxNodes
from smile_sklearn.network.backbone import MLPBackbone
from smile_sklearn.training.smile_method import SMiLEMethod


@dataclass(frozen=True)
class CommitteeMethod:
    """``method=`` object: train ``n_members`` networks, join them, prove the joined one.

    Parameters
    ----------
    n_members : int, default=4
        Divides the estimator's ``n_latent``: each member has its share of the latent units.
    member_method : SMiLEMethod
        What trains each, and finishes the joined network.
    """

    n_members: int = 4
    member_method: SMiLEMethod = field(default_factory=SMiLEMethod, repr=False)

    name = "committee"
    default_coupling = None
    """None: every property's own."""

    def build(self, architecture, backbone, hidden_layer_sizes, auxiliary):
        """Return the untrained members."""
        sizes = architecture.n_latent, architecture.n_free
        if any(size % self.n_members for size in sizes) or backbone is not None:
            raise ValueError(
                f"Got n_latent={sizes[0]} with {sizes[1]} free channels, backbone={backbone!r}; expected "
                f"multiples of {self.n_members} members and the built-in backbone."
            )
        n_latent, n_free = (size // self.n_members for size in sizes)
        member = replace(architecture, n_latent=n_latent, n_free=n_free)
        return Members(
            architecture,
            [
                self.member_method.build(member, None, hidden_layer_sizes, auxiliary)
                for _ in range(self.n_members)
            ],
        )

    def pretrain(self, state):
        """Pretrain one member after the other."""
        return [self.member_method.pretrain(replace(state, network=member)) for member in state.network][-1]

    def train(self, state):
        """Train one member after the other, each with the properties."""
        return [self.member_method.train(replace(state, network=member)) for member in state.network][-1]

    def posttrain(self, state):
        """Join the members, and finish the joined network as if it had been trained at once."""
        state.network = state.network.join()
        return self.member_method.posttrain(state)


class Members(nn.ModuleList):
    """The members while they are trained.

    Parameters
    ----------
    architecture : Architecture
        Of the joined network.
    networks : list of SMiLENetwork
    """

    def __init__(self, architecture, networks):
        super().__init__(networks)
        self.architecture = architecture

    def join(self):
        """Return the mean of the members as one :class:`SMiLENetwork`."""
        auxiliary = JoinedAuxiliary(network.auxiliary for network in self)
        network = SMiLENetwork(self.architecture, joined_backbone([m.backbone for m in self]), auxiliary)
        with torch.no_grad():
            network.raw_head.copy_(torch.cat([member.raw_head for member in self], dim=1) / len(self))
            network.head_bias.copy_(sum(member.head_bias for member in self) / len(self))
        return network.to(self[0].head_bias.device)


class JoinedAuxiliary(nn.ModuleList):
    """Auxiliaries side by side: each writes its layers, and 0-1 weights put its units in their place."""

    def append_to(self, builder):
        """Append lo, width and hi of all latent units; return their :class:`BoxNodes`."""
        nodes = [auxiliary.append_to(builder) for auxiliary in self]
        lower = self._beside(builder, [node.lower for node in nodes])
        width = self._beside(builder, [node.width for node in nodes])
        return BoxNodes(lower, builder.sum(lower, width), width)

    def _beside(self, builder, nodes):
        sizes = [len(auxiliary.widths()) for auxiliary in self]
        place = torch.eye(sum(sizes), dtype=torch.float64, device=self[0].raw_width.device).split(
            sizes, dim=1
        )
        zeros = place[0].new_zeros(sum(sizes))
        total = builder.affine(place[0], zeros, nodes[0])
        for columns, node in zip(place[1:], nodes[1:], strict=True):
            total = builder.sum(total, builder.affine(columns, zeros, node))
        return total


def joined_backbone(backbones):
    """Return one relu network that computes all of them: weights on the diagonal, inputs shared."""
    columns = list(zip(*(backbone.layers for backbone in backbones), strict=True))
    hidden = [sum(layer.out_features for layer in layers) for layers in columns]
    joined = MLPBackbone(columns[0][0].in_features, hidden[:-1], hidden[-1])
    with torch.no_grad():
        for index, (layer, layers) in enumerate(zip(joined.layers, columns, strict=True)):
            weights = [part.weight for part in layers]
            layer.weight.copy_(torch.cat(weights) if index == 0 else torch.block_diag(*weights))
            layer.bias.copy_(torch.cat([part.bias for part in layers]))
    return joined
