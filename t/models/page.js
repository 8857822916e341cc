// node page.js URL SCREENSHOTS BOOT TROUSER: goes through the page as a user
// would; writes what it has seen as JSON, for page.t to judge.

const { chromium } = require('playwright-core');
const fs = require('fs');
const path = require('path');

const [url, shots, boot, trouser] = process.argv.slice(2);
const seen = { console: [], foreign: [], counts: [], overflow: [] };


// Gives the page a file by a drop or a paste.
async function give(page, kind, file, type) {
    const data = fs.readFileSync(file).toString('base64');
    const name = path.basename(file);

    await page.evaluate(({ kind, data, name, type }) => {
        const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
        const dt = new DataTransfer();

        dt.items.add(new File([bytes], name, { type }));

        const options = { bubbles: true, cancelable: true };

        document.getElementById('zone').dispatchEvent(kind === 'drop'
            ? new DragEvent('drop', { ...options, dataTransfer: dt })
            : new ClipboardEvent('paste', { ...options, clipboardData: dt }));
    }, { kind, data, name, type });
}


const best = (page, text) =>
    page.locator('#answer:not(.busy) #best', { hasText: text })
        .innerText({ timeout: 5000 });

const requests = async (page) => parseInt(
    await page.locator('#rows tr:first-child td').first().innerText());


async function desktop(browser) {
    const page = await browser.newPage({
        viewport: { width: 1280, height: 800 }, colorScheme: 'light'
    });

    page.on('console', (m) => seen.console.push(m.text()));
    page.on('pageerror', (e) => seen.console.push(String(e)));
    page.on('request', (r) => {
        if (!/^(blob|data):/.test(r.url())
            && new URL(r.url()).origin !== new URL(url).origin)
        {
            seen.foreign.push(r.url());
        }
    });

    await page.goto(url);
    await page.locator('#rows tr').first().waitFor();

    seen.models = await page.locator('#model option').evaluateAll(
        (options) => options.map((o) => o.value.replace(/ [^ ]*$/, '')));
    seen.rows = await page.locator('#rows tr').count();
    seen.unnamed = await page.locator('input, select, button, img:visible')
        .evaluateAll((all) => all.filter((e) =>
            !(e.alt || e.ariaLabel || e.labels?.length)).length);
    seen.counts.push(await requests(page));

    await page.keyboard.press('Tab');
    await page.keyboard.press('Tab');
    seen.keyboard = await page.evaluate(
        () => document.activeElement.ariaLabel);

    await give(page, 'drop', boot, 'image/png');
    seen.dropped = await best(page, 'Ankle boot');
    seen.bars = await page.locator('#bars li').count();
    seen.caption = await page.locator('#caption').innerText();
    seen.times = await page.locator('#legend').innerText();
    seen.counts.push(await requests(page));

    await give(page, 'paste', trouser, 'image/png');
    seen.pasted = await best(page, 'Trouser');

    await page.selectOption('#model', { index: 2 });
    await page.waitForFunction(
        () => document.querySelectorAll('#rows tr:nth-child(3) li').length);
    seen.second = await best(page, 'Trouser');

    await page.selectOption('#model', { index: 0 });
    await give(page, 'drop', boot, 'image/png');
    await best(page, 'Ankle boot');
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${shots}/1280.png`, fullPage: true });
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.screenshot({ path: `${shots}/1280-dark.png`, fullPage: true });
    await page.emulateMedia({ colorScheme: 'light' });
    seen.overflow.push(await overflow(page));

    await page.setViewportSize({ width: 360, height: 780 });
    await page.screenshot({ path: `${shots}/360.png`, fullPage: true });
    seen.overflow.push(await overflow(page));

    // the browser says on the console that the server refuses it
    const before = seen.console.length;

    await give(page, 'drop', __filename, 'image/png');
    await page.locator('#error').waitFor();
    seen.error = await page.locator('#error').innerText();
    await page.screenshot({ path: `${shots}/360-error.png`, fullPage: true });
    seen.console = seen.console.slice(0, before);

    // a script that is put into the page does not run
    seen.blocked = await page.evaluate(() => {
        const script = document.createElement('script');

        window.ran = 0;
        script.textContent = 'window.ran = 1';
        document.body.append(script);

        return window.ran ? 0 : 1;
    });
    seen.console = seen.console.slice(0, before);
}


const overflow = (page) => page.evaluate(() =>
    document.documentElement.scrollWidth
    - document.documentElement.clientWidth);


(async () => {
    fs.mkdirSync(shots, { recursive: true });

    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium', args: ['--no-sandbox']
    });

    try {
        await desktop(browser);

    } finally {
        await browser.close();
    }

    console.log(JSON.stringify(seen));
})().catch((e) => {
    console.log(e.stack, JSON.stringify(seen));
    process.exitCode = 1;
});
