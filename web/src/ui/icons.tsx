// Line icons on a 20-unit grid, drawn for this page.
const SHAPES = {
  plus: 'M10 4v12M4 10h12',
  menu: 'M3 6h14M3 10h14M3 14h14',
  gear: 'M10 7.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM10 2.5v2.2M10 15.3v2.2M2.5 10h2.2M15.3 10h2.2M4.7 4.7l1.6 1.6M13.7 13.7l1.6 1.6M15.3 4.7l-1.6 1.6M6.3 13.7l-1.6 1.6',
  clip: 'M14.5 9.5l-5 5a3.2 3.2 0 0 1-4.5-4.5l6-6a2.1 2.1 0 0 1 3 3l-6 6a1 1 0 0 1-1.5-1.5l5-5',
  up: 'M10 16V4M5 9l5-5 5 5',
  stop: 'M6 6h8v8H6z',
  pencil: 'M4 16l.8-3.4L13.5 4l2.5 2.5-8.6 8.7L4 16Z',
  again: 'M15.5 8.5A5.8 5.8 0 1 0 15.8 12M15.8 4.5v4h-4',
  left: 'M12 5l-5 5 5 5',
  right: 'M8 5l5 5-5 5',
  down: 'M5 8l5 5 5-5',
  copy: 'M7 7h9v9H7zM4 13V4h9',
  cross: 'M5 5l10 10M15 5L5 15',
  keys: 'M2.5 5.5h15v9h-15zM5.5 8.5h0M8.5 8.5h0M11.5 8.5h0M14.5 8.5h0M6.5 11.5h7',
  save: 'M10 3v9M6 8.5l4 4 4-4M4 16h12',
  bin: 'M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6',
} as const;

export function Icon({ name }: { name: keyof typeof SHAPES }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path d={SHAPES[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

interface ButtonProps {
  name: keyof typeof SHAPES;
  label: string;
  on_click: () => void;
  disabled?: boolean;
  extra?: string;
}

export function IconButton({ name, label, on_click, disabled, extra }: ButtonProps) {
  return (
    <button type="button" class={`icon-button ${extra ?? ''}`} aria-label={label} title={label} disabled={disabled} onClick={on_click}>
      <Icon name={name} />
    </button>
  );
}
