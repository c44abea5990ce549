// Prints what the page weighs on the wire and fails the build when it is over its budget.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

const BUDGET = 60_000;
const root = new URL('./dist', import.meta.url).pathname;

/** @param {string} folder @returns {string[]} */
const files = (folder) =>
  readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });

let total = 0;
for (const path of files(root).sort()) {
  const size = gzipSync(readFileSync(path), { level: 9 }).length;
  total += size;
  console.log(`${size.toString().padStart(7)} B gzipped  ${relative(root, path)}`);
}
console.log(`${total.toString().padStart(7)} B gzipped  in all, of ${BUDGET} allowed`);
if (total > BUDGET) process.exit(1);
