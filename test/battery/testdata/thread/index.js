// The attacks of the battery from Node, in a sandbox that was started before anybody knew whose it would be.
'use strict';
const fs = require('fs'), net = require('net'), child = require('child_process');

const attacks = {
  'read host file': (o) => fs.readFileSync(o.secret, 'utf8'),
  'write host file': (o) => fs.writeFileSync(o.drop + '/written', 'x') || 'written',
  'write own code': () => { fs.writeFileSync('/var/task/mark', 'x'); fs.unlinkSync('/var/task/mark'); return 'written'; },
  'read environment': () => {
    for (const pid of fs.readdirSync('/proc').filter((p) => /^\d+$/.test(p))) {
      let text = '';
      try { text = fs.readFileSync(`/proc/${pid}/environ`, 'utf8'); } catch {}
      const at = text.indexOf('BATTERY_CANARY');
      if (at >= 0) return text.slice(at, at + 100);
    }
    throw new Error('none has it');
  },
  'signal': (o) => process.kill(Number(o.pid), 'SIGKILL') && 'sent',
  'exec program': () => child.execFileSync('/bin/echo', ['ran'], { encoding: 'utf8', stdio: 'pipe' }),
  'exec shell': () => child.execSync('echo ran', { encoding: 'utf8', stdio: 'pipe' }),
  'memory': () => { const all = []; for (let i = 0; i < 512; i++) all.push(Buffer.alloc(1 << 20, 1)); return `${all.length} MB`; },
  'abstract socket': () => new Promise((done, fail) => net.connect('\0casemate-battery').on('data', (d) => done(String(d))).on('error', fail)),
};

exports.handler = async (event) => {
  const order = JSON.parse(event.body);
  try {
    return { worked: true, detail: String(await attacks[order.attack](order)) };
  } catch (e) {
    return { worked: false, detail: String(e && e.message) };
  }
};
