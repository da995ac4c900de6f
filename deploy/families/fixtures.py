"""The tiny networks: one for each difference between the families, in the files that their own trainers save."""

import contextlib
import copy
import json
from collections import OrderedDict

import diffusers
import numpy as np
import torch

import keys
import parametrisations as p
import weights
from references import ADM, Diffusers, Song, adm, cfm, song

CLASSES, CLASS = 5, 2
HEAD_WIDTH = 32
STEPS = [0, 150, 400, 700, 900]
OPENAI_COSINE = {"kind": "cosine", "timesteps": 4000, "timeScale": 0.25}
COSINE = {"kind": "cosine", "timesteps": 1000, "timeScale": 1}
LINEAR = {"kind": "linear", "timesteps": 1000, "betaStart": 0.0001, "betaEnd": 0.02, "timeScale": 1}
KARRAS = {"kind": "karras", "sigmaMin": 0.002, "sigmaMax": 80, "rho": 7}


class Fixture:
    """A network, how it is saved, and what the index says about it."""

    def __init__(self, name, reference, save, source, *, dialect, network, parametrisation, schedule, times, about,
                 options=None, others=None, same_weights_as=None):
        self.name, self.reference, self.save, self.others = name, reference, save, others or {}
        self.grid = grid(parametrisation, schedule, times)
        self.parametrisation = parametrisation
        self.channels_side = network["imageSize"]
        self.entry = {
            "name": name, "about": about, "dialect": dialect, "source": source, "network": network,
            "parametrisation": parametrisation, "schedule": schedule, "options": options or {},
            **({"sameWeightsAs": same_weights_as} if same_weights_as else {}),
        }


def grid(parametrisation, schedule, times):
    """The grid over the source's own times, which are timesteps, noise levels or t."""
    scale = schedule.get("timeScale", 1)
    if parametrisation == "velocity":
        return p.Grid.make(parametrisation, times, lambda t: t, lambda t: scale * t)
    if schedule["kind"] == "karras":
        times = times or [float(s) for s in p.karras(5, schedule["sigmaMin"], schedule["sigmaMax"])]
        label = {
            "edm": lambda s: np.log(s) / 4 * scale, "vp": lambda s: 999 * p.vp_time(s), "ve": lambda s: np.log(s / 2)
        }[parametrisation]
        return p.Grid.make(parametrisation, times, lambda s: s, label)
    levels = p.noise_levels(schedule)
    return p.Grid.make(parametrisation, times, lambda k: levels[k], lambda k: scale * k)


def torch_save(name, value):
    """A saver that writes one file as torch.save does; `value` may take a state dict."""
    return lambda folder: torch.save(value, folder / name)


# MARK: ADM

ADM_NETWORK = {
    "imageSize": 16, "modelChannels": 32, "channelMultipliers": [1, 2], "residualBlocks": 1,
    "attentionDownsampling": [2], "outputChannels": 3, "modulation": "film", "resampling": "convolution", "epsilon": 1e-5,
    "sinusoids": "cos-sin", "frequencyShift": 0, "downsamplePadding": "symmetric", "attentionInDecoder": "every block",
    "residualScale": 1, "classes": 0,
}


def unet(seed, network, package=adm, fill=weights.fill, **options):
    """UNetModel as the description says."""
    values = dict(
        image_size=network["imageSize"], in_channels=3, model_channels=network["modelChannels"],
        out_channels=network["outputChannels"], num_res_blocks=network["residualBlocks"],
        attention_resolutions=tuple(network["attentionDownsampling"]), channel_mult=tuple(network["channelMultipliers"]),
        num_classes=network["classes"] or None, use_scale_shift_norm=network["modulation"] == "film",
        resblock_updown=network["resampling"] == "residual", dropout=0.1, **heads(network), **options)
    return fill(package.UNetModel(**values), seed)


def heads(network):
    if "headWidth" in network:
        return {"num_head_channels": network["headWidth"]}
    return {"num_heads": network["heads"]}


def adm_references(network, model):
    """The reference with the class of every fixture, if there are any, and without the class's embedding."""
    if not network["classes"]:
        return ADM(copy.deepcopy(model)), {}
    null = copy.deepcopy(model)
    with torch.no_grad():
        null.label_emb.weight.zero_()
    return ADM(copy.deepcopy(model), CLASS), {"null": ADM(null, 0)}


def adm_fixture(name, file, *, dialect, schedule, times, about, changes, options=None, parametrisation="epsilon",
                state=lambda state: state, seed=None, same_weights_as=None, **arguments):
    network = ADM_NETWORK | changes
    model = unet(seed or name, network, **arguments)
    reference, others = adm_references(network, model)
    source = state(model.state_dict())
    options = dict(options or {})
    options |= {key: network[key] for key in ("imageSize", "heads", "headWidth") if key in network}
    if network["classes"]:
        options["class"] = CLASS
    return Fixture(
        name, reference, torch_save(file, source), file, dialect=dialect, network=network, parametrisation=parametrisation,
        schedule=schedule, times=times, about=about, options=options, others=others, same_weights_as=same_weights_as)


def improved():
    steps = [0, 600, 1500, 2600, 3900]
    yield adm_fixture(
        "improved-diffusion", "ema_0.9999_500000.pt", dialect="improved-diffusion", schedule=OPENAI_COSINE, times=steps,
        about="As cifar10_uncond_50M_500K: FiLM, learned sigma, q, k and v of each head together, 4000 rescaled timesteps; attention "
        "at two rates.",
        changes={"channelMultipliers": [1, 1, 2], "attentionDownsampling": [2, 4], "outputChannels": 6, "heads": 4})
    yield adm_fixture(
        "improved-diffusion-classes", "ema_0.9999_250000.pt", dialect="improved-diffusion",
        schedule=OPENAI_COSINE | {"timeScale": 1}, times=steps,
        about="As imagenet64_cond_270M_250K: a class's embedding, timesteps that are not rescaled.",
        changes={"outputChannels": 6, "heads": 4, "classes": CLASSES})
    yield adm_fixture(
        "improved-diffusion-additive", "ema_0.9999_1200000.pt", dialect="improved-diffusion", schedule=LINEAR,
        times=STEPS,
        about="As lsun_uncond_100M_1200K_bs128: additive embedding, one head, linear schedule, attention only at the last rate.",
        changes={"outputChannels": 6, "heads": 1, "modulation": "additive"})


ADM_CHANGES = {"resampling": "residual", "headWidth": HEAD_WIDTH, "outputChannels": 6}


def guided():
    yield adm_fixture(
        "guided-diffusion", "64x64_diffusion.pt", dialect="guided-diffusion", schedule=COSINE, times=STEPS,
        about="As 64x64_diffusion: residual resampling, head width, q, k and v in thirds, classes, learned sigma, cosine schedule.",
        changes=ADM_CHANGES | {"classes": CLASSES}, options={"qkvOrder": "thirds"}, use_new_attention_order=True)
    yield adm_fixture(
        "guided-diffusion-legacy", "256x256_diffusion_uncond.pt", dialect="guided-diffusion", schedule=LINEAR, times=STEPS,
        about="As 256x256_diffusion_uncond: residual resampling, q, k and v of each head together, no classes, linear schedule.",
        changes=ADM_CHANGES, options={"qkvOrder": "heads"})
    yield adm_fixture(
        "guided-diffusion-heads", "128x128_diffusion.pt", dialect="guided-diffusion", schedule=LINEAR, times=STEPS,
        about="As 128x128_diffusion: four heads of any width instead of a head width.",
        changes={"resampling": "residual", "outputChannels": 6, "heads": 4, "classes": CLASSES},
        options={"qkvOrder": "heads"})
    yield adm_fixture(
        "guided-diffusion-half", "512x512_diffusion.pt", dialect="guided-diffusion", schedule=LINEAR, times=STEPS,
        about="As 512x512_diffusion: the first level has half the model channels. Four output channels, of which three count.",
        changes=ADM_CHANGES | {"modelChannels": 64, "channelMultipliers": [0.5, 1], "outputChannels": 4},
        options={"qkvOrder": "heads"})
    yield adm_fixture(
        "guided-diffusion-all", "model.pt", dialect="guided-diffusion", schedule=COSINE, times=STEPS,
        about="Every difference of ADM at once, and a side that is no power of two: 20, 10, 5 pixels.",
        changes=ADM_CHANGES | {
            "imageSize": 20, "modelChannels": 64, "channelMultipliers": [0.5, 0.5, 1], "residualBlocks": 2,
            "attentionDownsampling": [1, 4], "classes": CLASSES},
        options={"qkvOrder": "thirds"}, use_new_attention_order=True)
    yield adm_fixture(
        "consistency-models-edm", "edm_imagenet64_ema.pt", dialect="consistency-models", schedule=KARRAS | {"timeScale": 1000},
        times=None, parametrisation="edm",
        about="As edm_imagenet64_ema: EDM's preconditioning, time label 250 ln sigma, q, k and v in thirds as 1x1 convolutions.",
        changes=ADM_CHANGES | {"outputChannels": 3, "classes": CLASSES}, state=keys.with_planar_attention,
        use_new_attention_order=True)
    yield planar_in_diffusers()
    yield adm_fixture(
        "consistency-models-edm-additive", "edm_bedroom256_ema.pt", dialect="consistency-models",
        schedule=KARRAS | {"timeScale": 1000}, times=None, parametrisation="edm",
        about="As edm_bedroom256_ema: the same with an additive embedding and no classes.",
        changes=ADM_CHANGES | {"outputChannels": 3, "modulation": "additive"}, state=keys.with_planar_attention,
        use_new_attention_order=True)


def planar_in_diffusers():
    """What diffusers' own script makes of edm_imagenet64_ema."""
    network = ADM_NETWORK | ADM_CHANGES | {"outputChannels": 3, "classes": CLASSES}
    model = unet("consistency-models-edm", network, use_new_attention_order=True)
    other = diffusers.UNet2DModel(**RESIDUAL_CONFIG, num_class_embeds=CLASSES).eval()
    other.load_state_dict(keys.diffusers(model.state_dict(), network["residualBlocks"]))
    schedule = KARRAS | {"timeScale": 1000}
    return Fixture(
        "consistency-models-edm-diffusers", Diffusers(copy.deepcopy(other), CLASS),
        lambda folder: other.save_pretrained(folder / "unet"), "unet", dialect="diffusers", network=network,
        parametrisation="edm", schedule=schedule, times=None, same_weights_as="consistency-models-edm",
        about="The same weights as diffusers' script convert_consistency_to_diffusers writes them; no file states the rest.",
        options={"schedule": schedule, "parametrisation": "edm", "class": CLASS})


# MARK: torchcfm

def torchcfm():
    network = ADM_NETWORK | {"modulation": "additive", "headWidth": HEAD_WIDTH}
    times = [1.0, 0.75, 0.5, 0.25, 0.0]
    ema, raw = (unet(f"torchcfm/{kind}", network, cfm) for kind in ("ema", "net"))
    yield Fixture(
        "torchcfm", ADM(copy.deepcopy(ema)), torchcfm_saver(ema, raw), "otcfm_cifar10_weights_step_400000.pt",
        dialect="torchcfm", network=network, parametrisation="velocity",
        schedule={"kind": "uniform", "dataAt": 1, "timeScale": 1}, times=times, options={"imageSize": 16, "headWidth": HEAD_WIDTH},
        about="As otcfm_cifar10_weights_step_400000: additive embedding, a velocity with data at 1; ema_model unless net_model is asked "
        "for.", others={"net_model": ADM(copy.deepcopy(raw))})


def torchcfm_saver(ema, raw):
    """What train_cifar10.py saves: both networks, the learning rate's schedule, and Adam's moments."""
    def save(folder):
        model = copy.deepcopy(raw)
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda=lambda step: min(step, 5000) / 5000)
        for value in model.parameters():
            value.grad = value.detach() / 8
        optimizer.step()
        schedule.step()
        torch.save(
            {"net_model": raw.state_dict(), "ema_model": ema.state_dict(), "sched": schedule.state_dict(),
             "optim": optimizer.state_dict(), "step": 400000},
            folder / "otcfm_cifar10_weights_step_400000.pt")

    return save


# MARK: diffusers

DIFFUSERS_NETWORK = ADM_NETWORK | {
    "modulation": "additive", "epsilon": 1e-6, "sinusoids": "sin-cos", "frequencyShift": 1,
    "downsamplePadding": "bottom-right", "heads": 1,
}
DDPM_CONFIG = {
    "sample_size": 16, "in_channels": 3, "out_channels": 3, "center_input_sample": False, "time_embedding_type": "positional",
    "freq_shift": 1, "flip_sin_to_cos": False, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "block_out_channels": [32, 64], "layers_per_block": 1,
    "mid_block_scale_factor": 1, "downsample_padding": 0, "act_fn": "silu", "attention_head_dim": None,
    "norm_num_groups": 32, "norm_eps": 1e-6,
}
# An ADM network of two levels as UNet2DModel.
RESIDUAL_CONFIG = DDPM_CONFIG | {
    "freq_shift": 0, "flip_sin_to_cos": True, "downsample_padding": 1, "norm_eps": 1e-5, "attention_head_dim": HEAD_WIDTH,
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "ResnetUpsampleBlock2D"], "downsample_type": "resnet", "upsample_type": "resnet",
    "resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 32,
}


def unet2d(seed, config, fill=weights.fill):
    return fill(diffusers.UNet2DModel(**config), seed)


def pipeline_saver(model, scheduler, *, safe=True, kind=diffusers.DDPMPipeline):
    """A pipeline's folder: model_index.json, scheduler/ and unet/."""
    def save(folder):
        kind(unet=copy.deepcopy(model).float(), scheduler=scheduler).save_pretrained(folder / "pipeline", safe_serialization=safe)

    return save


def root_saver(model, config=DDPM_CONFIG):
    """The layout of google/ddpm-cifar10-32: everything at the root, old names for attention, settings left to their defaults."""
    def save(folder):
        path = folder / "ddpm"
        path.mkdir()
        torch.save(keys.old_diffusers(model.state_dict()), path / "diffusion_pytorch_model.bin")
        documents = {
            "config.json": {"_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", **config},
            "scheduler_config.json": {
                "_class_name": "DDPMScheduler", "_diffusers_version": "0.1.1", "beta_end": 0.02, "beta_schedule": "linear",
                "beta_start": 0.0001, "clip_sample": True, "num_train_timesteps": 1000, "trained_betas": None,
                "variance_type": "fixed_large"},
            "model_index.json": {
                "_class_name": "DDPMPipeline", "_diffusers_version": "0.1.1", "scheduler": ["diffusers", "DDPMScheduler"],
                "unet": ["diffusers", "UNet2DModel"]},
        }
        for file, content in documents.items():
            (path / file).write_text(json.dumps(content, indent=2))
        restored = diffusers.UNet2DModel.from_pretrained(path, use_safetensors=False, low_cpu_mem_usage=False)
        if any(not torch.equal(value, model.state_dict()[key]) for key, value in restored.state_dict().items()):
            raise AssertionError("diffusers reads other weights from the old names")

    return save


def diffusers_fixture(name, save, source, *, config, changes, about, schedule=LINEAR, parametrisation="epsilon",
                      times=None, seed="diffusers", options=None, same_weights_as=None, model=None):
    network = DIFFUSERS_NETWORK | changes
    if times is None and schedule["kind"] != "karras":
        times = STEPS
    model = model or unet2d(seed, DDPM_CONFIG | config)
    label = CLASS if network["classes"] else None
    others = {}
    if network["classes"]:
        null = copy.deepcopy(model)
        with torch.no_grad():
            null.class_embedding.weight.zero_()
        others["null"] = Diffusers(null, 0)
    return Fixture(
        name, Diffusers(copy.deepcopy(model), label), save(model), source, dialect="diffusers", network=network,
        parametrisation=parametrisation, schedule=schedule, times=times, about=about, others=others,
        options=(options or {}) | ({"class": CLASS} if label is not None else {}), same_weights_as=same_weights_as)


def scheduler(**changes):
    return diffusers.DDPMScheduler(**({"num_train_timesteps": 1000} | changes))


def pipelines():
    yield diffusers_fixture(
        "diffusers-ddpm", root_saver, "ddpm", config={}, changes={},
        about="As google/ddpm-cifar10-32: config.json, weights as .bin and scheduler at the root; query, key, value and proj_attn; "
        "[sin, cos], epsilon 1e-6, padding (0, 1, 0, 1), one head.")
    yield diffusers_fixture(
        "diffusers-pipeline", lambda model: pipeline_saver(model, scheduler()), "pipeline", config={}, changes={},
        about="The same weights as a pipeline's folder with safetensors and current names.", same_weights_as="diffusers-ddpm")
    yield diffusers_fixture(
        "diffusers-model", lambda model: lambda folder: model.save_pretrained(folder / "unet", safe_serialization=False), "unet",
        config={}, changes={}, about="The same weights as a model's folder alone, with .bin; no file states the schedule.",
        options={"schedule": LINEAR, "parametrisation": "epsilon"}, same_weights_as="diffusers-ddpm")
    tutorial = {
        "freq_shift": 0, "flip_sin_to_cos": True, "downsample_padding": 1, "attention_head_dim": 8, "norm_eps": 1e-5,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "layers_per_block": 2,
    }
    yield diffusers_fixture(
        "diffusers-defaults", lambda model: pipeline_saver(model, scheduler(beta_schedule="squaredcos_cap_v2")), "pipeline",
        seed="diffusers-defaults", config=tutorial, schedule=COSINE,
        changes={"residualBlocks": 2, "epsilon": 1e-5, "sinusoids": "cos-sin", "frequencyShift": 0,
                 "downsamplePadding": "symmetric", "headWidth": 8},
        about="UNet2DModel's own defaults, as of most fine-tunes: [cos, sin], symmetric padding, head width 8, epsilon 1e-5.")
    scaled = {"kind": "scaled_linear", "timesteps": 1000, "betaStart": 0.00085, "betaEnd": 0.012, "timeScale": 1}
    yield diffusers_fixture(
        "diffusers-v-prediction",
        lambda model: pipeline_saver(model, scheduler(
            beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction")),
        "pipeline", config={}, changes={}, schedule=scaled, parametrisation="v", same_weights_as="diffusers-ddpm",
        about="The same weights as a v-prediction with a scaled linear schedule.")
    given = {"kind": "given", "timesteps": 100, "betas": [round(0.001 + 0.0012 * i, 6) for i in range(100)], "timeScale": 1}
    yield diffusers_fixture(
        "diffusers-sample",
        lambda model: pipeline_saver(model, scheduler(
            num_train_timesteps=100, trained_betas=given["betas"], prediction_type="sample")),
        "pipeline", config={}, changes={}, schedule=given, parametrisation="sample", times=[0, 15, 40, 70, 99],
        same_weights_as="diffusers-ddpm", about="The same weights as a prediction of the image with betas that are given.")
    yield diffusers_fixture(
        "diffusers-edm", lambda model: pipeline_saver(model, diffusers.EDMEulerScheduler()), "pipeline", config={}, changes={},
        schedule=KARRAS, parametrisation="edm", same_weights_as="diffusers-ddpm",
        about="The same weights under EDM's preconditioning by EDMEulerScheduler, time label ln sigma / 4.")
    yield diffusers_fixture(
        "diffusers-flow", lambda model: pipeline_saver(model, diffusers.FlowMatchEulerDiscreteScheduler()), "pipeline", config={},
        changes={}, schedule={"kind": "uniform", "dataAt": 0, "timeScale": 1000}, parametrisation="velocity",
        times=[0.0, 0.25, 0.5, 0.75, 1.0], same_weights_as="diffusers-ddpm",
        about="The same weights as a velocity with data at 0 by FlowMatchEulerDiscreteScheduler, time label 1000 t.")
    yield diffusers_fixture(
        "diffusers-all", lambda model: pipeline_saver(model, scheduler(variance_type="learned_range")), "pipeline",
        seed="diffusers-all",
        config={"sample_size": 24, "out_channels": 6, "block_out_channels": [32, 96, 64], "attention_head_dim": 32,
                "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"],
                "up_block_types": ["ResnetUpsampleBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"], "downsample_type": "resnet",
                "upsample_type": "resnet", "resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 32,
                "num_class_embeds": CLASSES},
        changes={"imageSize": 24, "outputChannels": 6, "modulation": "film", "headWidth": 32,
                 "channelMultipliers": [1, 3, 2], "resampling": "residual", "classes": CLASSES},
        about="Every difference of UNet2DModel at once: residual resampling at both levels, FiLM, classes, learned sigma, widths that "
        "fall again, and a side that is no power of two.")


# MARK: EDM

SONG_NETWORK = ADM_NETWORK | {
    "modulation": "additive", "resampling": "residual with 1x1 skip", "epsilon": 1e-6, "sinusoids": "sin-cos",
    "frequencyShift": 1, "attentionInDecoder": "last block", "residualScale": 0.5**0.5, "heads": 1, "residualBlocks": 2,
    "channelMultipliers": [1, 2], "attentionDownsampling": [2],
}


def song_unet(seed, network, augmentations=0, fill=weights.fill):
    config = song.SongUNetConfig(
        img_resolution=network["imageSize"], in_channels=3, out_channels=3, label_dim=network["classes"],
        augment_dim=augmentations, model_channels=network["modelChannels"], channel_mult=network["channelMultipliers"],
        num_blocks=network["residualBlocks"],
        attn_resolutions=[network["imageSize"] // rate for rate in network["attentionDownsampling"]])
    return fill(song.SongUNet(config), seed)


def edm_state(model):
    """The state dict of the preconditioning module around a network."""
    return OrderedDict(("model." + key, value) for key, value in model.state_dict().items())


def edm():
    model = song_unet("edm", SONG_NETWORK, augmentations=9)
    for name, parametrisation, about in (
        ("edm-ddpmpp", "edm", "As edm-cifar10-32x32-uncond-vp: DDPM++ under EDM's preconditioning; map_augment and resample_filter "
         "are to be dropped."),
        ("edm-ddpmpp-vp", "vp", "The same weights under VP preconditioning, which no key tells."),
        ("edm-ddpmpp-ve", "ve", "The same weights under VE preconditioning, which no key tells."),
    ):
        yield Fixture(
            name, Song(copy.deepcopy(model)), torch_save("state.pt", edm_state(model)), "state.pt", dialect="edm",
            network=SONG_NETWORK, parametrisation=parametrisation,
            schedule=KARRAS if parametrisation != "ve" else KARRAS | {"sigmaMin": 0.02}, times=None, about=about,
            options={"parametrisation": parametrisation, "groups": 32},
            same_weights_as=None if name == "edm-ddpmpp" else "edm-ddpmpp")
    network = SONG_NETWORK | {"classes": CLASSES, "residualBlocks": 1, "channelMultipliers": [2, 1, 1],
                              "attentionDownsampling": [2, 4]}
    model = song_unet("edm-classes", network)
    yield Fixture(
        "edm-ddpmpp-classes", Song(copy.deepcopy(model), CLASS), torch_save("state.pt", edm_state(model)), "state.pt",
        dialect="edm", network=network, parametrisation="edm", schedule=KARRAS, times=None, others={"null": Song(copy.deepcopy(model))},
        options={"parametrisation": "edm", "groups": 32, "class": CLASS},
        about="As edm-cifar10-32x32-cond-vp: a class enters before map_layer0; the first convolution is narrower than the first level.")


def rectified_flow_saver(ema, raw):
    """Saves what RectifiedFlow's trainer does of averaged weights and those of the last step."""
    def save(folder):
        shadow = keys.score_sde(ema.state_dict())
        state = keys.score_sde(raw.state_dict())
        state = OrderedDict([("module.sigmas", torch.linspace(50, 0.01, 1000)), *state.items()])
        torch.save(
            {"optimizer": {"state": {}, "param_groups": []}, "model": state,
             "ema": {"decay": 0.999999, "num_updates": 1300000, "shadow_params": list(shadow.values())}, "step": 1300000},
            folder / "checkpoint_8.pth")

    return save


def rectified_flow():
    network = SONG_NETWORK
    times = [1.0, 0.75, 0.5, 0.25, 0.001]
    model = song_unet("rectified-flow", network)

    def save(folder):
        (folder / "flow").mkdir()
        with contextlib.redirect_stdout(None):
            model.save_pretrained(folder / "flow")

    yield Fixture(
        "rectified-flow", Song(copy.deepcopy(model)), save, "flow/unet_model.pt", dialect="rectified-flow", network=network,
        parametrisation="velocity", schedule={"kind": "uniform", "dataAt": 1, "timeScale": 1000}, times=times,
        about="What the package rectified-flow saves of its DDPM++: keys without a prefix, unet_config.json next to it, time label 1000 t.",
        options={"groups": 32})
    raw = song_unet("rectified-flow/raw", network)
    yield Fixture(
        "rectified-flow-original", Song(copy.deepcopy(model)), rectified_flow_saver(model, raw), "checkpoint_8.pth",
        dialect="rectified-flow-original", network=network, parametrisation="velocity", schedule={"kind": "uniform", "dataAt": 1, "timeScale": 999}, times=times,
        about="As CIFAR10 1-Rectified Flow: all_modules by number, and in ema a list without names in the order of the parameters; "
        "ema unless model is asked for. Time label 999 t.",
        options={"groups": 32, "imageSize": 16}, others={"model": Song(copy.deepcopy(raw))})


# MARK: one network in four layouts of q, k and v

def layouts():
    network = ADM_NETWORK | {"resampling": "residual", "headWidth": HEAD_WIDTH, "residualBlocks": 1}
    model = unet("layouts", network, use_new_attention_order=True)
    thirds = model.state_dict()
    common = dict(network=network, parametrisation="epsilon", schedule=LINEAR, times=STEPS)
    other = diffusers.UNet2DModel(**RESIDUAL_CONFIG).eval()
    other.load_state_dict(keys.diffusers(thirds, 1))

    def reference():
        return ADM(copy.deepcopy(model))

    stated_nowhere = {"schedule": LINEAR, "parametrisation": "epsilon"}
    options = stated_nowhere | {"imageSize": 16, "headWidth": HEAD_WIDTH}
    yield Fixture(
        "layout-thirds", reference(), torch_save("model.pt", thirds), "model.pt", dialect="guided-diffusion",
        about="One network in four layouts, whose import gives the same file: q, k and v in thirds.",
        options=options | {"qkvOrder": "thirds"}, **common)
    legacy = keys.with_qkv(thirds, HEAD_WIDTH, keys.legacy_rows)
    twin = unet("layouts", network)
    twin.load_state_dict(legacy)
    yield Fixture(
        "layout-heads", ADM(twin), torch_save("model.pt", legacy), "model.pt", dialect="guided-diffusion",
        about="The same network with q, k and v of each head together.", options=options | {"qkvOrder": "heads"},
        same_weights_as="layout-thirds", **common)
    interleaved = keys.dhariwal(keys.with_qkv(thirds, HEAD_WIDTH, keys.interleaved_rows), 1, 16, augmentations=9)
    yield Fixture(
        "layout-interleaved", reference(), torch_save("state.pt", interleaved), "state.pt", dialect="edm",
        about="The same network as EDM's DhariwalUNet with q, k and v of each channel together.",
        options=stated_nowhere | {"groups": 32, "headWidth": HEAD_WIDTH}, same_weights_as="layout-thirds", **common)
    yield Fixture(
        "layout-separate", Diffusers(copy.deepcopy(other)), lambda folder: other.save_pretrained(folder / "unet"), "unet",
        dialect="diffusers",
        about="The same network as UNet2DModel with separate q, k and v.", options=stated_nowhere,
        same_weights_as="layout-thirds", **common)


def all_fixtures():
    for family in (improved, guided, torchcfm, pipelines, edm, rectified_flow, layouts):
        yield from family()
