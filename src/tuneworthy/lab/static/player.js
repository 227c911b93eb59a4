// Plays the steps of a run: about eight a second, as many as a live run sends in two batches.
'use strict';

lab.player = (button, words, tick, pace = 130) => {
  let timer = 0;
  const show = () => { if (button) lab.say(button, words[timer ? 1 : 0]); };
  const stop = () => { clearInterval(timer); timer = 0; show(); };
  const start = (every = pace) => {
    stop();
    timer = setInterval(() => { if (tick() === false) stop(); }, every);
    show();
  };
  button?.addEventListener('click', () => (timer ? stop() : start()));
  return { start, stop, playing: () => timer !== 0 };
};
