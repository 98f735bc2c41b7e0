// The server has uPlot's own module at this place.
export { default } from 'uplot';
