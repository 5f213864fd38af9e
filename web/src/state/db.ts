// Conversations in the browser's IndexedDB: whole records under their id. Nothing leaves the
// machine. Where the browser refuses storage (a private window), the page works without it.
import type { Conversation } from '../types';

const STORE = 'conversations';
let opened: Promise<IDBDatabase | null> | undefined;

function open(): Promise<IDBDatabase | null> {
  opened ??= new Promise((resolve) => {
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.open('reckon', 1);
    } catch {
      resolve(null);
      return;
    }
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'id' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
  });
  return opened;
}

async function change(work: (store: IDBObjectStore) => void): Promise<boolean> {
  const db = await open();
  if (!db) return false;
  return new Promise((resolve) => {
    const transaction = db.transaction(STORE, 'readwrite');
    transaction.oncomplete = () => resolve(true);
    transaction.onerror = transaction.onabort = () => resolve(false);
    work(transaction.objectStore(STORE));
  });
}

export const save = (conversation: Conversation) => change((store) => store.put(conversation));
export const remove = (id: string) => change((store) => store.delete(id));

export async function load(id: string): Promise<Conversation | undefined> {
  const db = await open();
  if (!db) return undefined;
  return new Promise((resolve) => {
    const request = db.transaction(STORE).objectStore(STORE).get(id);
    request.onsuccess = () => resolve(request.result as Conversation | undefined);
    request.onerror = () => resolve(undefined);
  });
}

// Calls visit with each record in turn, so that a search never holds all of them.
export async function each(visit: (conversation: Conversation) => void): Promise<void> {
  const db = await open();
  if (!db) return;
  return new Promise((resolve) => {
    const request = db.transaction(STORE).objectStore(STORE).openCursor();
    request.onerror = () => resolve();
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) {
        resolve();
        return;
      }
      visit(cursor.value as Conversation);
      cursor.continue();
    };
  });
}
