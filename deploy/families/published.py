"""Published networks at full size, with random weights, in the files that their own trainers save."""

from collections.abc import Callable
from dataclasses import dataclass

import fixtures
import keys
from fixtures import ADM_NETWORK, COSINE, DDPM_CONFIG, KARRAS, LINEAR, OPENAI_COSINE, SONG_NETWORK
from references import ADM, Diffusers, Song, cfm
from weights import fill_randomly


@dataclass
class Published:
    """A published network: how it is built, saved and imported, and what it computes."""

    name: str
    pixels: int
    # The number of parameters of the published file, by which a wrong size shows.
    parameters: int
    parametrisation: str
    schedule: dict
    # Gives the network with the weights that a name decides.
    build: Callable
    # Gives, for a network, a function that saves it in a folder.
    saver: Callable
    # What the saved file or folder is called.
    source: str
    reference: type
    # Whether it is imported by its name; a folder of diffusers says everything itself.
    is_named: bool = True
    # The class, if the network is class-conditional.
    label: int | None = None


def file(name, state=lambda state: state):
    """Saves a state dict alone, which `state` may rearrange."""
    return {"saver": lambda network: fixtures.torch_save(name, state(network.state_dict())), "source": name}


# Widths, depths and attention, as docs/families.md lists them.
TORCHCFM = ADM_NETWORK | {
    "imageSize": 32, "modelChannels": 128, "channelMultipliers": [1, 2, 2, 2], "residualBlocks": 2, "modulation": "additive",
    "headWidth": 64,
}
IMPROVED_64 = ADM_NETWORK | {
    "imageSize": 64, "modelChannels": 128, "channelMultipliers": [1, 2, 3, 4], "residualBlocks": 3,
    "attentionDownsampling": [4, 8], "outputChannels": 6, "heads": 4,
}
ADM_64 = IMPROVED_64 | {
    "modelChannels": 192, "attentionDownsampling": [2, 4, 8], "headWidth": 64, "resampling": "residual", "classes": 1000,
}
EDM_CIFAR10 = SONG_NETWORK | {
    "imageSize": 32, "modelChannels": 128, "channelMultipliers": [2, 2, 2], "residualBlocks": 4,
}
RECTIFIED_FLOW = EDM_CIFAR10 | {"channelMultipliers": [1, 2, 2, 2]}
# consistency_models' labels.
LEVELS = KARRAS | {"timeScale": 1000}


def ddpm(widths, attention, pixels):
    """UNet2DModel's configuration of google/ddpm-*, with attention at one level."""
    levels = range(len(widths))
    return DDPM_CONFIG | {
        "sample_size": pixels, "block_out_channels": widths, "layers_per_block": 2,
        "down_block_types": ["AttnDownBlock2D" if level == attention else "DownBlock2D" for level in levels],
        "up_block_types": ["AttnUpBlock2D" if level == attention else "UpBlock2D" for level in reversed(levels)],
    }


def ddpm_model(name, pixels, parameters, config):
    return Published(
        name, pixels, parameters, "epsilon", LINEAR, lambda seed: fixtures.unet2d(seed, config, fill_randomly),
        saver=lambda network: fixtures.root_saver(network, config), source="ddpm", reference=Diffusers, is_named=False)


def torchcfm_saver(network):
    raw = fixtures.unet("torchcfm-cifar10/net", TORCHCFM, cfm, fill_randomly)
    return fixtures.torchcfm_saver(network, raw)


def rectified_flow_saver(network):
    raw = fixtures.song_unet("rectified-flow-cifar10/raw", RECTIFIED_FLOW, fill=fill_randomly)
    return fixtures.rectified_flow_saver(network, raw)


def consistency_models(name, source, parameters, network, label=None):
    """A model of consistency_models under EDM's preconditioning."""
    network = network | {"outputChannels": 3}
    return Published(
        name, network["imageSize"], parameters, "edm", LEVELS,
        lambda seed: fixtures.unet(seed, network, fill=fill_randomly, use_new_attention_order=True),
        **file(source, keys.with_planar_attention), reference=ADM, label=label)


ALL = [
    Published(
        "torchcfm-cifar10", 32, 35_746_307, "velocity", {"kind": "uniform", "dataAt": 1, "timeScale": 1},
        lambda seed: fixtures.unet(seed, TORCHCFM, cfm, fill_randomly), saver=torchcfm_saver,
        source="otcfm_cifar10_weights_step_400000.pt", reference=ADM),
    ddpm_model("google/ddpm-cifar10-32", 32, 35_746_307, ddpm([128, 256, 256, 256], 1, 32)),
    Published(
        "edm-cifar10", 32, 55_733_891, "edm", KARRAS,
        lambda seed: fixtures.song_unet(seed, EDM_CIFAR10, augmentations=9, fill=fill_randomly),
        saver=lambda network: fixtures.torch_save("state.pt", fixtures.edm_state(network)), source="state.pt", reference=Song),
    Published(
        "improved-diffusion-imagenet64", 64, 121_063_942, "epsilon", OPENAI_COSINE,
        lambda seed: fixtures.unet(seed, IMPROVED_64, fill=fill_randomly), **file("imagenet64_uncond_100M_1500K.pt"), reference=ADM),
    Published(
        "guided-diffusion-64", 64, 295_904_454, "epsilon", COSINE,
        lambda seed: fixtures.unet(seed, ADM_64, fill=fill_randomly, use_new_attention_order=True),
        **file("64x64_diffusion.pt"), reference=ADM, label=2),
    consistency_models("consistency-models-edm-imagenet64", "edm_imagenet64_ema.pt", 295_899_267, ADM_64, label=2),
    Published(
        "rectified-flow-cifar10", 32, 61_804_419, "velocity",
        {"kind": "uniform", "dataAt": 1, "noiseAt": 0.001, "timeScale": 999},
        lambda seed: fixtures.song_unet(seed, RECTIFIED_FLOW, fill=fill_randomly), saver=rectified_flow_saver,
        source="checkpoint_8.pth", reference=Song),
    ddpm_model("google/ddpm-celebahq-256", 256, 113_673_219, ddpm([128, 128, 256, 256, 512, 512], 4, 256)),
]


def build(model):
    """The network of a published model with random weights.

    Raises AssertionError if it hasn't as many parameters as the published file.
    """
    network = model.build(model.name)
    count = sum(value.numel() for value in network.parameters())
    if count != model.parameters:
        raise AssertionError(f"{model.name} has {count} parameters instead of the published {model.parameters}")
    return network
