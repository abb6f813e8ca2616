#pragma once
// What a run's page adds to page_style.h, and its few lines of script.
#include <string_view>

namespace graft {

constexpr std::string_view run_style = R"css(
.curves{break-inside:avoid}
.curves svg{max-width:none}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;margin:0 0 8px;font-size:13.5px;color:var(--soft);min-height:1.6em}
.legend b{color:var(--ink);font-weight:600;font-variant-numeric:tabular-nums}
.legend .swatch,.runs .swatch{margin-right:6px}
.faint{stroke:currentColor;stroke-width:1;opacity:.35}
.cursor{visibility:hidden;stroke:var(--soft);stroke-dasharray:2 3}
h2{margin-top:0}
section>h2{font-size:19px;margin-bottom:16px;letter-spacing:-.01em}
pre{margin:0;padding:16px 18px;background:var(--wash);border-radius:6px;font:13px/1.55 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-x:auto;tab-size:2}
pre.long{max-height:34em;overflow-y:auto}
p.note{color:var(--soft);max-width:60em;margin:0 0 14px}
pre+p.note{margin-top:14px}
.answers{display:grid;gap:22px}
.answers article{border-top:1px solid var(--rule);padding-top:14px;break-inside:avoid}
.prompt{font-weight:600;margin:0 0 8px;white-space:pre-wrap;overflow-wrap:anywhere}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:12px 32px}
.sides h3{font-size:13px;font-weight:400;color:var(--soft);margin:0 0 2px}
.sides p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
.none{color:var(--faint)}
details{margin-top:10px;color:var(--soft);font-size:14px}
details p{margin:6px 0 0;color:var(--ink);white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer}
td.wrap,th.wrap{white-space:normal;overflow-wrap:anywhere;min-width:12em}
tbody th:first-child{padding-left:0;text-indent:0}
.warn{color:rgb(var(--bad))}
.runs{list-style:none;margin:0 0 20px;padding:0}
.runs li{padding:3px 0;overflow-wrap:anywhere}
@media print{main{max-width:none;padding:0}section{margin-top:32px}h1{font-size:26px}section>h2{break-after:avoid}
pre{overflow:visible;white-space:pre-wrap;background:none;border:1px solid var(--rule)}
pre.long{max-height:none;overflow:visible;font-size:11.5px;columns:2}
.pair{grid-template-columns:1fr 1fr;gap:20px 28px}.legend{min-height:0}figcaption{font-size:12px}
.scroll{overflow:visible}table{font-size:11px}th:first-child{position:static;min-width:0}th,td{white-space:normal}.answers{gap:14px}}
)css";

/// The pointer over a picture shows the values of its curves at the nearest step.
constexpr std::string_view run_script = R"js(
for(const f of document.querySelectorAll('.curves')){
const b=[...f.querySelectorAll('.legend b')],at=f.querySelector('.at'),last=b.map(x=>x.textContent);
for(const s of f.querySelectorAll('svg')){
const c=s.querySelector('.cursor'),y=c.getAttribute('d');
const lines=[...s.querySelectorAll('path[data-v]')].map(p=>{const d=p.getAttribute('d').slice(1).split(/[ML]/).map(parseFloat);
return p.dataset.v.split(';').slice(0,-1).map((v,i)=>[d[i],...v.split(',')])});
s.onpointermove=e=>{const x=new DOMPoint(e.clientX,e.clientY).matrixTransform(s.getScreenCTM().inverse()).x;
const near=lines.map(l=>l.reduce((a,p)=>Math.abs(p[0]-x)<Math.abs(a[0]-x)?p:a));
const p=near.reduce((a,p)=>Math.abs(p[0]-x)<Math.abs(a[0]-x)?p:a);
near.forEach((q,i)=>b[i].textContent=q[2]);at.textContent='at step '+p[1];
c.setAttribute('d',y.replace(/-9\.0/g,p[0]));c.style.visibility='visible'};
s.onpointerleave=()=>{b.forEach((x,i)=>x.textContent=last[i]);at.textContent='';c.style.visibility=''}}}
)js";

}  // namespace graft
