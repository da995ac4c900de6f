"""Which image the playground shows, of several choices, files and answers."""

import json
import urllib.request

from playground import open_page, settle, shown, text

# Requests of the page wait until the check lets them go.
HOLDING = """
window.held = [];
window.asked = [];
window.holds = path => false;
const sent = window.fetch;
window.fetch = (path, options) => {
    asked.push(path);
    return holds(path) ? new Promise(go => held.push(() => go(sent(path, options)))) : sent(path, options);
};
"""


def check_late_service(tab, url, check):
    """A service that can't answer when the page loads."""
    script = tab.call("Page.addScriptToEvaluateOnNewDocument",
                      source=HOLDING + "window.fetch = () => Promise.reject(new TypeError('Failed to fetch'));")
    open_page(tab, url)
    tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    tab.wait("at('model-alert').textContent === `The service can't be reached. Check that it is running, then try again.`", "an error")
    tab.evaluate("window.fetch = sent; at('samples').children[1].click()")
    shown(tab, "cat.jpg")
    settle(tab)
    check("once the service answers, the next choice shows everything",
          text(tab, "model") != "" and text(tab, "model-alert") == "" and not tab.evaluate("at('morph').hidden"))


def check_loading(tab, url, check):
    """A photograph that is chosen before anything is known of it."""
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=HOLDING + "holds = path => path === 'model';")
    open_page(tab, url)
    tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])
    tab.evaluate("[3, 3].forEach(place => at('samples').children[place].click()); holds = () => false")
    tab.wait("held.length > 0", "the question about the model")
    tab.evaluate("held.splice(0).forEach(go => go())")
    settle(tab)
    check("a photograph that is chosen while the page loads is the one that is shown", text(tab, "image-name") == "windmill.jpg")
    counts = tab.evaluate("['model', 'trajectory', 'embed?normalize=l2'].map(path => asked.filter(p => p === path).length)")
    check(f"each image is computed once: {counts}", counts == [1, 1, 6])


def check_choices(tab, check):
    settle(tab)
    tab.evaluate(HOLDING + "holds = path => path === 'trajectory';")
    tab.evaluate("at('samples').children[2].click()")
    tab.wait("held.length == 1", "a question")
    tab.evaluate("at('samples').children[3].click()")
    tab.wait("held.length == 2", "another question")
    check("the choice is marked at once", tab.evaluate("at('samples').children[3].ariaPressed") == "true")
    tab.evaluate("held[1]()")
    shown(tab, "windmill.jpg")
    tab.evaluate("(async () => { held[0](); await samples[2].flow.catch(() => {}); await new Promise(done => setTimeout(done, 100)) })()")
    check("of two choices the last one is shown, and the other is given up",
          text(tab, "image-name") == "windmill.jpg" and text(tab, "status") == "windmill.jpg is shown."
          and tab.evaluate("samples[2].flow") is None and text(tab, "alert") == "")
    tab.evaluate("at('samples').children[2].click()")
    tab.wait("held.length == 3", "the same question again")
    tab.evaluate("held[2]()")
    shown(tab, "goldfish.jpg")
    tab.evaluate("""
        let busy = 2;
        window.fetch = (path, options) => path !== 'trajectory' || busy-- <= 0 ? sent(path, options)
            : Promise.resolve(new Response('{"detail": "busy"}', { status: 503, headers: { 'Retry-After': '0' } }));
        [...at('samples').children].find(button => !button.entry.flow).click()""")
    tab.wait("shown === chosen && shown !== samples[2]", "an answer after two refusals")
    check("a busy service is asked again, as long as it asks for that", tab.evaluate("busy") == -1)
    tab.evaluate("window.fetch = sent; at('samples').children[2].click()")
    shown(tab, "goldfish.jpg")
    tab.evaluate("holds = () => false; at('neighbours').querySelector('button').focus(); document.activeElement.click()")
    tab.wait("shown !== samples[2] && shown === chosen", "a neighbour's choice")
    check("the focus stays among the neighbours", tab.evaluate("at('neighbours').contains(document.activeElement)"))
    tab.evaluate("window.fetch = () => Promise.reject(new TypeError('Failed to fetch'));"
                 "[...at('samples').children].find(button => !button.entry.flow).click()")
    alert = "document.querySelector('#choose [role=alert]').textContent"
    tab.wait(f"{alert} !== ''", "an error")
    check(f"a service that has gone is said to be so: {tab.evaluate(alert)}",
          tab.evaluate(alert).endswith(".jpg: The service can't be reached. Check that it is running, then try again."))
    check("the image that is shown is marked again", tab.evaluate("shown === chosen && at('status').textContent") == "")
    tab.evaluate("window.fetch = sent")


def check_swap(tab, url, admin, path, check):
    """Another model, `path` in the model directory, is loaded while the page is open."""
    open_page(tab, url)
    settle(tab)
    tab.evaluate("add([new File([samples[0].file], 'mine.jpg')])")
    shown(tab, "mine.jpg")
    before = text(tab, "model")
    load = urllib.request.Request(f"{admin}/admin/checkpoint?wait=true", json.dumps({"path": path}).encode(),
                                  {"Content-Type": "application/json"})
    urllib.request.urlopen(load).close()
    tab.evaluate("at('samples').children[1].click()")
    shown(tab, "cat.jpg")
    tab.wait("seen.length === 7 && redrawing === null", "all images by the new model")
    check(f"a swapped model is noticed at the next choice: {text(tab, 'model')}", text(tab, "model") != before)
    check("nothing that the page shows is of the model before", tab.evaluate(
        "seen.every(entry => entry.version === page.model.version) && at('neighbours').children.length === 5")
        and tab.evaluate("samples[1].flow.then(flow => flow.model.version === page.model.version)"))
    tab.evaluate("window.fetch = () => Promise.reject(new TypeError('Failed to fetch')); at('samples').children[1].click()")
    shown(tab, "cat.jpg")
    check("what is known can be shown without the service", tab.evaluate("shown === chosen") and text(tab, "alert") == "")


def paste(tab, *items):
    """Pastes files, given as expressions, or text, given in quotes."""
    adding = "".join(f"data.items.add({item});" if item.startswith("new") else f"data.setData('text/plain', {item});"
                     for item in items)
    tab.evaluate("(() => { const data = new DataTransfer();" + adding
                 + "dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })) })()")


def check_files_of_users(tab, check):
    for name in ("image.png", "image-2.png"):
        paste(tab, "new File([samples[0].file], 'image.png')")
        shown(tab, name)
    check("images of one name get different names", tab.evaluate("seen.slice(-2).map(e => e.name)") == ["image.png", "image-2.png"])
    tab.evaluate("add(Array.from({ length: 30 }, (_, i) => new File([samples[i % 6].file], `n${i}.jpg`)), true)")
    check("of many files the first is shown, and the others are only compared",
          text(tab, "image-name") == "n0.jpg" and tab.evaluate("seen.filter(e => /^n\\d+\\.jpg$/.test(e.name)).map(e => Boolean(e.flow)).join()") == "true" + 29 * ",false")
    check(f"the status counts them: {text(tab, 'status')}", text(tab, "status") == "n0.jpg is shown. 30 images have been added.")
    tab.evaluate("add([new File(['x'], 'bad-1.txt'), new File([samples[0].file], 'good.jpg'), new File(['y'], 'bad-2.txt'),"
                 "new File([], 'empty.jpg')])")
    lines = text(tab, "alert").split("\n")
    said = [name for name in ("bad-1.txt", "bad-2.txt", "empty.jpg") if name in text(tab, "alert")]
    check(f"every wrong file of several is named: {json.dumps(lines)}", len(said) == 3 and text(tab, "image-name") == "good.jpg")
    check("their names are free again", tab.evaluate("names.has('bad-1.txt') || names.has('empty.jpg')") is False)
    own = tab.evaluate("[...at('own').children].map(button => button.entry.name)")
    check(f"every image of the user can be chosen again: {len(own)}",
          own == tab.evaluate("seen.filter(entry => entry.isOwn).map(entry => entry.name)") and "n29.jpg" in own)
    tab.evaluate("[...at('own').children].find(button => button.entry.name === 'n29.jpg').click()")
    shown(tab, "n29.jpg")
    paste(tab, "'some text'")
    check("pasted text leaves the errors", "bad-1.txt" in text(tab, "alert"))
    tab.evaluate("dispatchEvent(new DragEvent('drop', { dataTransfer: new DataTransfer() }))")
    check(f"what is dropped without being a file is refused: {text(tab, 'alert')}", text(tab, "alert").startswith("That is not an image file."))
    paste(tab, "new File([samples[0].file], 'new.jpg')")
    shown(tab, "new.jpg")
    check("new files clear them", text(tab, "alert") == "")
