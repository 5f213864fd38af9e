import '@fontsource-variable/source-sans-3/wght.css';
import '@fontsource-variable/source-serif-4/wght.css';
import '@fontsource-variable/source-serif-4/wght-italic.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/messages.css';
import './styles/dialogs.css';

import { render } from 'preact';

import { App } from './ui/app';

render(<App />, document.getElementById('app')!);
