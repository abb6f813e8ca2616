#pragma once
// The quantisation page's style and its few lines of script. Colours are Okabe and Ito's, which the colour-blind tell apart.
#include <string_view>

namespace graft {

constexpr std::string_view page_style = R"css(
:root{--bg:#fdfdfc;--ink:#1b1c1e;--soft:#62656b;--faint:#9a9da3;--rule:#e5e5e2;--wash:#f4f4f1;--bar:#c3cbd6;--clip:#d98e00;
--good:0 114 178;--bad:213 94 0;--c0:#b8609a;--c1:#3b9bd0;--c2:#d98e00;--c3:#0072b2;--c4:#009e73;--c5:#d55e00}
@media(prefers-color-scheme:dark){:root{--bg:#141517;--ink:#e9e9e6;--soft:#a3a6ab;--faint:#6f7278;--rule:#2a2c2f;--wash:#1c1d20;--bar:#47505d;
--clip:#e6a532;--good:64 150 214;--bad:226 117 34;--c0:#dc93c0;--c1:#7cc4ee;--c2:#f0b040;--c3:#4a9fe0;--c4:#2fc197;--c5:#f0803c}}
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:56px 40px 72px}
h1{font-size:34px;line-height:1.15;font-weight:600;letter-spacing:-.02em;margin:4px 0 20px;overflow-wrap:anywhere}
h2{font-size:15px;font-weight:600;margin:0 0 10px}
.eyebrow{color:var(--soft);margin:0}
.findings{font-size:17px;line-height:1.5;max-width:60em;margin:0 0 28px}
.findings p{margin:0 0 4px}
dl{display:flex;flex-wrap:wrap;gap:14px 44px;margin:0 0 40px;padding:16px 0;border:solid var(--rule);border-width:1px 0}
dt{color:var(--soft);font-size:13px}
dd{margin:0;font-weight:500;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.scroll{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th,td{padding:7px 8px 8px;text-align:left;white-space:nowrap;border-bottom:1px solid var(--rule);font-weight:400}
th:first-child{padding-left:0}
tbody th:first-child{padding-left:18px;text-indent:-18px}
td:last-child,th:last-child{padding-right:0}
thead th{color:var(--soft);font-size:13px;line-height:1.25;vertical-align:bottom;white-space:normal}
thead button{font:inherit;color:inherit;text-align:inherit;background:none;border:0;padding:0;cursor:pointer}
thead button:hover,thead [aria-sort] button{color:var(--ink)}
.n{text-align:right}
.bar{position:relative}
.bar::after{content:"";position:absolute;right:8px;bottom:3px;height:2px;width:calc((100% - 16px)*var(--w));background:var(--bar)}
.bar.split::after{width:calc(100% - 16px);background:linear-gradient(90deg,var(--bar) calc(100%*var(--w)),var(--clip) 0)}
td.bar:last-child::after{right:0;width:calc((100% - 8px)*var(--w))}
figure td:last-child,figure th:last-child{padding-right:8px}
.best{font-weight:650}
sup{line-height:0;font-size:.75em}
.reference th,.reference td{color:var(--soft)}
.swatch{display:inline-block;width:9px;height:9px;margin-right:9px;border-radius:50%;border:2px solid currentColor}
.swatch.v0{background:currentColor}
figure{margin:0;min-width:0}
section{margin-top:56px}
figcaption,.key{color:var(--soft);font-size:14px;max-width:52em;margin:10px 0 0}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:40px}
svg{display:block;width:100%;height:auto;overflow:visible}
.pair svg{max-width:720px}
.pair figure:only-child svg{max-width:none}
.phone{display:none}
@media(max-width:600px){main{padding:32px 18px 48px}h1{font-size:27px}.findings{font-size:16px}dl{gap:12px 28px}section{margin-top:44px}
.desk{display:none}.phone{display:block}
table{font-size:13px}th:first-child{position:sticky;left:0;z-index:1;min-width:152px;background:var(--bg);white-space:normal;line-height:1.3}}
text{font-size:11.5px;fill:var(--ink)}
.number{fill:var(--soft);font-variant-numeric:tabular-nums}
.title{fill:var(--soft)}
.strong{font-weight:600}
.label{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}
.end{text-anchor:end}
.middle{text-anchor:middle}
path{fill:none;stroke-width:1}
.grid{stroke:var(--rule)}
.axis,.leader{stroke:var(--faint)}
.leader{stroke-width:.7}
.guide{stroke:var(--c3);stroke-opacity:.28}
.even{stroke:var(--faint);stroke-dasharray:2 3}
.frontier{stroke:var(--bar);stroke-width:1.5}
.bell{fill:var(--bar);fill-opacity:.6}
.stick{stroke:currentColor;stroke-width:2.5}
.dense{color:var(--c0)}
.stick.dense{stroke-width:1.2}
.dot{fill:var(--bg);stroke:currentColor;stroke-width:2}
.dot.v0{fill:currentColor}
.line{stroke:currentColor;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.v1{stroke-dasharray:6 4}.line.v2{stroke-dasharray:1 4}.line.v3{stroke-dasharray:9 4 1 4}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}
.heat{background:rgb(var(--good)/var(--a))}
.heat.worse{background:rgb(var(--bad)/var(--a))}
.phone .stick.dense{stroke-width:.6}
svg [data-s]{transition:opacity .12s}
.focus svg [data-s]:not(.hot){opacity:.16}
tr.hot{background:var(--wash)}
@media print{.desk{display:block}.phone{display:none}body{background:none}}
)css";

/// Pointing at a scheme anywhere shows it everywhere; a click on a column's head sorts by it.
constexpr std::string_view page_script = R"js(
addEventListener('pointerover',e=>{const s=e.target.closest?.('[data-s]')?.dataset.s;
document.body.classList.toggle('focus',s!==undefined);
document.querySelectorAll('[data-s]').forEach(x=>x.classList.toggle('hot',x.dataset.s===s))});
document.querySelectorAll('th button').forEach(b=>b.onclick=()=>{const th=b.parentNode,i=th.cellIndex,body=th.closest('table').tBodies[1];
const up=th.ariaSort==='ascending'?-1:1;[...th.parentNode.cells].forEach(x=>x.removeAttribute('aria-sort'));
th.ariaSort=up>0?'ascending':'descending';const key=r=>r.cells[i].dataset.v;
body.append(...[...body.rows].sort((a,b)=>{const p=key(a),q=key(b);return p===''?1:q===''?-1:up*(isNaN(p)?p.localeCompare(q):p-q)}))});
)js";

}  // namespace graft
