// Stands in for jasmine-core/lib/jasmine-core/jasmine.js, which TFJS's jasmine_util boots by hand as jasmine 3 wanted it.
import jasmineCore from 'jasmine-core';

export const core = () => jasmineCore.jasmine;
