/** Bundles stanza-client.ts into one file for the interop tests. It is no part of the page. */
import { defineConfig } from 'vite';

export default defineConfig({
  publicDir: false,
  build: {
    outDir: 'node_modules/.stanza',
    minify: false,
    lib: { entry: 'tests/stanza-client.ts', formats: ['iife'], name: 'stanzaClient', fileName: () => 'client.js' },
  },
  logLevel: 'warn',
});
