import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The page lives at http://HOST/ROOM, so its assets have absolute addresses.
  base: '/',
  build: {
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      // Pages of others load the element by an address that stays.
      input: ['index.html', 'src/focus-meeting.ts'],
      output: { entryFileNames: ({ name }) => (name === 'focus-meeting' ? '[name].js' : 'assets/[name]-[hash].js') },
    },
  },
  server: { proxy: { '/config.json': 'http://127.0.0.1:8080', '/xmpp-websocket': { target: 'ws://127.0.0.1:8080', ws: true } } },
  test: {
    environment: 'jsdom',
    include: ['tests/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // What Strophe has for node wants a websocket package; the tests take what the browser takes.
    alias: { 'strophe.js': fileURLToPath(new URL('node_modules/strophe.js/dist/strophe.esm.js', import.meta.url)) },
  },
});
