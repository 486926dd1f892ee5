#!/usr/bin/env node
// onnxruntime.mjs MODEL THREADS [plain]: ONNX Runtime's side of peers.py; the commands and answers of contestant.cpp.
// The package onnxruntime-node is taken from the folder PEER_DIR. "plain": the graph as it stands, no optimisation.
// Each run's time includes what the binding adds: a call and a copy of the outputs. Only the rows of blocks have large
// ones (201 MB of 32,760 tokens), below 1 % of their time.
import { createRequire } from 'node:module';
import fs from 'node:fs';
import readline from 'node:readline';

const now = () => Number(process.hrtime.bigint()) / 1e9;
const entered = now();
const ort = createRequire(`${process.env.PEER_DIR ?? process.cwd()}/x.js`)('onnxruntime-node');
const [, , model, threads, plain] = process.argv;

let session;
try {
  session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: Number(threads), interOpNumThreads: 1, executionMode: 'sequential', logSeverityLevel: 3,
    graphOptimizationLevel: plain ? 'disabled' : 'all',
  });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const opened = now();
const say = (answer) => fs.writeSync(1, JSON.stringify(answer) + '\n');
say({ entered, open_s: opened - entered, opened, version: ort.env.versions.node });

let state = 1;
const random = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 4294967296 * 2 - 1;
};
const feeds = {};
for (const { name, shape } of session.inputMetadata) {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; ++i) data[i] = random();
  feeds[name] = new ort.Tensor('float32', data, shape);
}

const peakRss = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;

async function run(times) {
  const seconds = [];
  for (let i = 0; i < times; ++i) {
    const begin = now();
    await session.run(feeds);
    seconds.push(now() - begin);
  }
  say({ seconds, ended: now(), peak_rss: peakRss() });
}

async function check() {
  const results = await session.run(feeds);
  const sample = (data) => Array.from({ length: 64 }, (_, i) => data[Math.floor(i * (data.length - 1) / 63)]);
  say({ outputs: session.outputNames.map((name) => sample(results[name].data)) });
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const [command, times] = line.split(' ');
  if (command === 'run') await run(Number(times));
  else if (command === 'check') await check();
}
