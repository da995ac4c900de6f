"""Files that an import must refuse, and why."""

import copy
import json
import pickle
from collections import OrderedDict

import diffusers
import torch

import fixtures
import keys
import weights
from references import adm, song


class Refusal:
    """A file that must be refused: what it is, in the index's words, and what it looks like."""

    def __init__(self, name, source, save, *, reason, about, options=None):
        self.name, self.save = name, save
        self.entry = {"name": name, "about": about, "source": source, "refusal": reason, "options": options or {}}


class Code:
    """Pickles as a call of a function, as a module of NVIDIA's does."""

    def __reduce__(self):
        return print, ("this pickle has run code",)


def configured(changes, state_of=None):
    """A folder of UNet2DModel whose configuration has these changes after it was saved."""
    def save(folder):
        fixtures.unet2d("hostile", fixtures.DDPM_CONFIG).save_pretrained(folder / "unet")
        path = folder / "unet" / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes, indent=2))

    return save


def consistency_pipeline(folder):
    config = fixtures.DDPM_CONFIG | {"downsample_padding": 1, "attention_head_dim": 32}
    diffusers.ConsistencyModelPipeline(
        unet=fixtures.unet2d("hostile", config), scheduler=diffusers.CMStochasticIterativeScheduler()
    ).save_pretrained(folder / "pipeline")


def text_conditional(folder):
    model = diffusers.UNet2DConditionModel(
        sample_size=16, in_channels=3, out_channels=3, block_out_channels=(32, 64), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16, attention_head_dim=32)
    weights.fill(model, "hostile").save_pretrained(folder / "unet")


def latent(folder):
    """The layout of CompVis/ldm-celebahq-256, whose network sees the latents of an autoencoder."""
    path = folder / "pipeline"
    fixtures.unet2d("hostile", fixtures.DDPM_CONFIG).save_pretrained(path / "unet")
    diffusers.DDIMScheduler().save_pretrained(path / "scheduler")
    autoencoder = diffusers.VQModel(block_out_channels=(32,), norm_num_groups=32, num_vq_embeddings=16)
    weights.fill(autoencoder, "hostile").save_pretrained(path / "vqvae")
    index = {"_class_name": "LDMPipeline", "_diffusers_version": diffusers.__version__, "scheduler": ["diffusers", "DDIMScheduler"],
             "unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"]}
    (path / "model_index.json").write_text(json.dumps(index, indent=2))


def four_channels(folder):
    fixtures.unet2d("hostile", fixtures.DDPM_CONFIG | {"in_channels": 4, "out_channels": 4}).save_pretrained(folder / "unet")


def ncsnpp(folder):
    network = song.SongUNet(song.SongUNetConfig(
        img_resolution=16, in_channels=3, out_channels=3, model_channels=32, channel_mult=[1, 2], num_blocks=1,
        attn_resolutions=[8], embedding_type="fourier", channel_mult_time=2, encoder_type="residual",
        resample_filter=[1, 3, 3, 1]))
    state = fixtures.edm_state(weights.fill(network, "hostile"))
    frequencies = state.pop("model.map_time.freqs")
    torch.save(OrderedDict([("model.map_noise.freqs", weights.numbers("frequencies", tuple(frequencies.shape))), *state.items()]),
               folder / "state.pt")


def transformer(folder):
    """The first and last keys of DiT-XL/2 and a block between them."""
    width = 64
    shapes = {
        "pos_embed": (1, 16, width), "x_embedder.proj.weight": (width, 4, 2, 2), "x_embedder.proj.bias": (width,),
        "t_embedder.mlp.0.weight": (width, 256), "t_embedder.mlp.0.bias": (width,),
        "y_embedder.embedding_table.weight": (6, width), "blocks.0.attn.qkv.weight": (3 * width, width),
        "blocks.0.attn.qkv.bias": (3 * width,), "final_layer.linear.weight": (32, width), "final_layer.linear.bias": (32,),
    }
    torch.save(OrderedDict((key, weights.parameter(key, shape)) for key, shape in shapes.items()), folder / "DiT-XL-2.pt")


def all_refusals():
    network = fixtures.ADM_NETWORK | fixtures.ADM_CHANGES
    model = fixtures.unet("hostile", network)
    state = model.state_dict()
    with_planar = keys.with_planar_attention(state)
    save = fixtures.torch_save
    yield Refusal(
        "hostile-two-dialects", "model.pt",
        save("model.pt", state | fixtures.edm_state(fixtures.song_unet("hostile", fixtures.SONG_NETWORK))), reason="match several packages",
        about="The keys of guided-diffusion and of EDM in one file.")
    yield Refusal(
        "hostile-consistency", "cd_imagenet64_l2.pt", save("cd_imagenet64_l2.pt", with_planar), reason="consistency model",
        about="As cd_imagenet64_l2: a consistency function has the keys of its teacher, so only its name tells.")
    yield Refusal(
        "hostile-consistency-pipeline", "pipeline", consistency_pipeline, reason="consistency model",
        about="As openai/diffusers-cd_imagenet64_l2: ConsistencyModelPipeline and CMStochasticIterativeScheduler.")
    yield Refusal(
        "hostile-text-conditional", "unet", text_conditional, reason="text-conditional network",
        about="UNet2DConditionModel, with attention over a text's embedding.")
    yield Refusal(
        "hostile-latent", "pipeline", latent, reason="latent model",
        about="A pipeline with an autoencoder; its network has three channels.")
    yield Refusal("hostile-four-channels", "unet", four_channels, reason="input channels", about="A network over four channels.")
    yield Refusal("hostile-ncsnpp", "state.pt", ncsnpp, reason="NCSN++", about="Fourier features and a residual input pyramid.")
    yield Refusal("hostile-transformer", "DiT-XL-2.pt", transformer, reason="transformer", about="The keys of DiT.")
    classifier = adm.EncoderUNetModel(
        image_size=16, in_channels=3, model_channels=32, out_channels=5, num_res_blocks=1, attention_resolutions=(2,),
        channel_mult=(1, 2), num_head_channels=32, use_scale_shift_norm=True, resblock_updown=True, pool="attention")
    yield Refusal(
        "hostile-classifier", "64x64_classifier.pt", save("64x64_classifier.pt", weights.fill(classifier, "hostile").state_dict()),
        reason="classifier", about="As 64x64_classifier: only an encoder.")
    upsampler = adm.SuperResModel(
        image_size=16, in_channels=3, model_channels=32, out_channels=6, num_res_blocks=1, attention_resolutions=(2,),
        channel_mult=(1, 2), num_head_channels=32, use_scale_shift_norm=True, resblock_updown=True)
    yield Refusal(
        "hostile-upsampler", "64_256_upsampler.pt", save("64_256_upsampler.pt", weights.fill(upsampler, "hostile").state_dict()),
        reason="upsampler", about="As 64_256_upsampler: six input channels.")
    yield Refusal(
        "hostile-pickle", "edm-cifar10-32x32-uncond-vp.pkl",
        lambda folder: (folder / "edm-cifar10-32x32-uncond-vp.pkl").write_bytes(pickle.dumps({"ema": Code()}, protocol=2)),
        reason="could run code", about="A pickle whose loading calls a function.")
    yield Refusal(
        "hostile-module", "network.pt", lambda folder: torch.save(copy.deepcopy(model), folder / "network.pt"),
        reason="could run code", about="torch.save of a network instead of its state dict: names classes of a package.")
    yield Refusal(
        "hostile-missing", "model.pt", save("model.pt", OrderedDict(list(state.items())[:-1])), reason="missing tensor",
        about="The last bias is missing.")
    yield Refusal(
        "hostile-config-widths", "unet", configured({"block_out_channels": [32, 96]}), reason="configuration contradicts weights",
        about="config.json states other widths than the weights have.")
    yield Refusal(
        "hostile-config-attention", "unet", configured({"down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"]}),
        reason="configuration contradicts weights", about="config.json states attention where there are no weights of it.")
    yield Refusal(
        "hostile-config-activation", "unet", configured({"act_fn": "relu"}), reason="unsupported configuration",
        about="config.json states another activation than SiLU, which no shape contradicts.")
