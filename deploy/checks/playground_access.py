"""How the playground asks for a key, and what is there without one, without scripts and without a service."""

from playground import PHOTOGRAPHS, drop, open_page, text


def enter(tab, value):
    tab.evaluate("at('key-text').value = ''")
    tab.call("Input.insertText", text=value)
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r")


def check_keys(tab, url, check):
    for link, start in (("API guide", "# API"), ("API description", 'openapi: "3.1.0"')):
        open_page(tab, url)
        tab.evaluate(f"[...document.links].find(link => link.textContent === '{link}').click()")
        tab.wait("document.contentType === 'text/plain'", "a document")
        check(f"the link “{link}” shows the document, without a key", tab.evaluate("document.body.innerText").startswith(start))
    open_page(tab, url)
    tab.wait("!at('key').hidden", "the question for a key")
    enter(tab, "secret–key")
    check(f"a key that can't be sent is said to be so: {text(tab, 'key-alert')}",
          text(tab, "key-alert").startswith("The key has a character that no key can have.") and not tab.evaluate("at('key').hidden"))
    tab.evaluate("at('key-alert').textContent = ''")
    enter(tab, "wrong")
    tab.wait("!at('key').hidden && at('key-alert').textContent !== ''", "the refusal of a key")
    check(f"a wrong key is said to be wrong: {text(tab, 'key-alert')}",
          text(tab, "key-alert").startswith("The service refused the key:"))
    enter(tab, "secret")
    tab.wait("document.getElementById('model').textContent != ''", "the key's acceptance")
    drop(tab, PHOTOGRAPHS / "rocket.jpg", "rocket-2.jpg")
    check("a key that is asked for is typed and used", text(tab, "classes") != "")
    check("the commands for a terminal have a key", all('--header "X-API-Key: $KEY"' in line for line in text(tab, "command").split("\n"))
          and not tab.evaluate("at('key-hint').hidden"))


def check_absence(tab, check):
    """The page of a service that has gone since."""
    tab.evaluate("at('alert').textContent = ''; add([new File([samples[0].file], 'late.jpg')])")
    tab.wait("at('alert').textContent !== ''", "an error")
    check(f"a service that has gone can't be reached: {text(tab, 'alert')}", text(tab, "alert") == "late.jpg: The service can't be reached. Check that it is running, then try again.")
    check("without scripts the page says what it lacks",
          tab.evaluate("document.querySelector('noscript').textContent").find("needs JavaScript") >= 0)
