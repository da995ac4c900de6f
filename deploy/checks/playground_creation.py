"""What the playground makes: images, morphs, photographs, files, and commands that do the same."""

import base64
import pathlib
import subprocess
import tempfile

from playground import answer_to, key, press, settle, shown, text

ALERT = "document.querySelector('#{} [role=alert]').textContent"


def create(tab, seed):
    tab.evaluate(f"at('created').replaceChildren(); at('seed').value = '{seed}'; at('seed').oninput()")
    press(tab, "sample")


def saved(tab, id):
    """The name and the size of the picture that a button saves."""
    return tab.evaluate("""(async () => {
        const original = download;
        const file = await new Promise(done => { download = (blob, name) => done({ blob, name }); at('%s').click(); });
        download = original;
        const bitmap = await createImageBitmap(file.blob);
        return [file.name, bitmap.width / bitmap.height];
    })()""" % id)


def check_creation(tab, url, check):
    """A model whose grid reaches noise creates images, and morphs between two."""
    settle(tab)
    check("steps are counted, of which each takes two evaluations here", text(tab, "model").endswith(" 8 steps towards noise."))
    check("the latent is noise", "the noise that the image could have come from" in text(tab, "latent-meaning"))
    check_seeds(tab, check)
    create(tab, 7)
    tab.evaluate("at('sample').focus()")
    tab.wait("document.querySelectorAll('#created img').length == 8", "created images")
    check(f"creation reports: {text(tab, 'create-status')}", text(tab, "create-status") == "8 images created from seed 7.")
    check("the button keeps the focus", tab.evaluate("document.activeElement.id") == "sample")
    check("a created image says what it is",
          tab.evaluate("document.querySelector('#created img').alt") == "Image 1 of 8, created from seed 7")
    expected = [image["image"] for image in answer_to(url, "/sample?count=8&seed=7", b"")["images"]]
    check("created images are those of /sample",
          tab.evaluate("[...document.querySelectorAll('#created img')].map(image => image.src)") == expected)
    for _ in range(2):
        tab.evaluate("document.querySelector('#created button').click()")
        shown(tab, "seed-7-0.png")
    create(tab, 7)
    tab.wait("at('created').children.length == 8", "the same images again")
    tab.evaluate("document.querySelector('#created button').click()")
    shown(tab, "seed-7-0.png")
    check("the same created image is one image", tab.evaluate("seen.filter(e => e.name.startsWith('seed-7-0')).length") == 1)
    check("its button is pressed", tab.evaluate("[...document.querySelectorAll('[aria-pressed=true]')].map(b => b.entry.name)")
          == ["seed-7-0.png"])
    check("created images are saved as a sheet of two rows", saved(tab, "save-created") == ["seed-7.png", 2])
    press(tab, "morph-go")
    tab.wait("!document.getElementById('morph-results').hidden", "the morph")
    check(f"the morph reports: {text(tab, 'morph-status')}", text(tab, "morph-status").startswith("The morph is ready."))
    tab.wait("document.getElementById('morph-play').textContent == 'Play'", "the morph's end")
    check(f"a morph ends with the second image: {tab.evaluate('at(`morph-image`).alt')}",
          tab.evaluate("at('morph-image').alt") == "100 % of the way from moose.jpg to cat.jpg"
          and tab.evaluate("at('morph-slider').max") == "16")
    check("a morph is saved as a strip", saved(tab, "morph-png") == ["moose-to-cat.png", 17])
    tab.evaluate("window.sent ??= fetch; window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))")
    for button, section in (("morph-go", "morph"), ("sample", "create")):
        press(tab, button)
        tab.wait(f"{ALERT.format(section)} !== ''", "an error")
        check(f"an error of {section} is told in its section",
              tab.evaluate(ALERT.format(section)) == "The service can't be reached. Check that it is running, then try again." and text(tab, "alert") == "")
    tab.evaluate("window.fetch = sent")


def check_seeds(tab, check):
    for seed in ("1.5", "-3", "", "9007199254740992", "99999999999999999999"):
        for button in ("sample", "next-seed"):
            tab.evaluate(f"{ALERT.format('create')} = ''; at('seed').value = '{seed}'")
            press(tab, button)
            tab.wait(f"{ALERT.format('create')} !== ''", "a refusal of the seed")
            check(f"the seed “{seed}” is refused by {button}",
                  tab.evaluate(ALERT.format("create")) == "A seed is a whole number from 0 to 9007199254740991."
                  and tab.evaluate("at('seed').value") == seed and tab.evaluate("at('created').children.length") == 0)
    create(tab, "9007199254740990")
    tab.wait("at('created').children.length == 8", "images of a large seed")
    tab.evaluate("at('created').replaceChildren()")
    press(tab, "next-seed")
    tab.wait("at('created').children.length == 8", "images of the largest seed")
    check("the largest seed is taken", tab.evaluate("at('seed').value") == "9007199254740991")


def check_terminal(tab, check):
    """The commands do in a shell what they say, with files that the page saves."""
    names = ["it's; rm.jpg", "@a\nb\x7f.jpg", 'a"b\\c;type=x,$HOME.jpg', "-o.jpg", "ü.jpg"]
    for name in names:
        words = tab.evaluate(f"quoted(`@${{{name!r}}}`)")
        said = subprocess.run(["bash", "-c", f"printf %s {words}"], capture_output=True, text=True, check=True).stdout
        check(f"a shell reads the name {name!r} as it is: {words}", said == "@" + name and words.isprintable())
    tab.evaluate("add([new File([samples[0].file], %r)], true)" % names[2])
    tab.wait("shown.name.startsWith('a\"b')", "an image with an unusual name")
    tab.evaluate("at('morph-from').value = shown.url; showCommands()")
    offered = tab.evaluate("[...at('save-images').children].map(button => button.textContent)")
    check(f"only what the user has no file of can be saved: {offered}", offered == ["Save cat.jpg"])
    files = tab.evaluate("""(async () => {
        const original = download, files = [[shown.name, shown.file]];
        download = (blob, name) => files.push([name, blob]);
        for (const button of at('save-images').children) button.click();
        download = original;
        const text = async blob => btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
        return Promise.all(files.map(async ([name, blob]) => [name, await text(blob)]));
    })()""")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files:
            pathlib.Path(folder, name).write_bytes(base64.b64decode(data))
        commands = text(tab, "command").split("\n")
        for command in commands:
            answer = subprocess.run(["bash", "-c", command.replace("curl", "curl -s -o answer -w '%{http_code}'", 1)],
                                    cwd=folder, capture_output=True, text=True)
            check(f"the service answers {command}: {answer.stdout}", answer.stdout == "200")
        check("there is a command for each of five operations", len(commands) == 5)


def check_camera(tab, check):
    tab.evaluate("""(() => {
        window.streams = [];
        window.media = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async wanted => { const s = await media(wanted); streams.push(s); return s; };
        at('camera').click();
        at('camera').click();
    })()""")
    tab.wait("!document.getElementById('viewfinder').hidden && document.getElementById('video').videoWidth > 0", "the camera")
    check("pressed twice, the camera opens once, and its button has gone",
          tab.evaluate("streams.length === 1 && at('camera').hidden && document.activeElement === at('shutter')"))
    press(tab, "shutter")
    shown(tab, "photograph.jpg")
    press(tab, "close-camera")
    check("a photograph by the camera is computed, and the camera closes",
          tab.evaluate("streams.every(stream => stream.getTracks().every(track => track.readyState == 'ended'))")
          and tab.evaluate("!at('camera').hidden && document.activeElement === at('camera')"))
    tab.evaluate("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('Permission denied', 'NotAllowedError') };"
                 "at('camera').click()")
    alert = "alertNear(at('camera')).textContent"
    tab.wait(f"{alert} !== ''", "the refusal of the camera")
    check(f"a refused camera is explained: {tab.evaluate(alert)}",
          tab.evaluate(alert).startswith("The browser doesn't let this page use the camera.") and tab.evaluate("!at('camera').hidden"))


def check_reduced_motion(tab, check):
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    tab.evaluate("at('morph-results').hidden = true")
    press(tab, "morph-go")
    tab.wait("!at('morph-results').hidden", "a morph")
    check("a morph doesn't move by itself where less motion is wished",
          tab.evaluate("at('morph-slider').value === '0' && at('morph-play').textContent === 'Play'"))
    tab.call("Emulation.setEmulatedMedia", features=[])


def check_limits(tab, most, check):
    settle(tab)
    press(tab, "sample")
    tab.wait("at('created').children.length > 0", "few images")
    press(tab, "morph-go")
    tab.wait("!at('morph-results').hidden", "a short morph")
    check(f"as many images are made as the service allows: {most}",
          tab.evaluate(f"at('created').children.length === {most} && at('morph-slider').max === '{most - 1}'")
          and f"count={most}&" in text(tab, "command") and f"steps={most}'" in text(tab, "command"))
    tab.evaluate("at('sample').focus()")
    key(tab, "Tab", 9)
    check("the keyboard goes on from the button", tab.evaluate("document.activeElement.id") == "next-seed")
